import { expect } from 'chai'
import type { Transition } from '../../src/cluster/cluster.ts'
import { forSeeds, seedsOf } from './support/seeds.ts'
import { type Host, World } from './support/world.ts'

/*
 * A plugin that stops for an upgrade says so, and its endpoints go on counting on the other hosts;
 * one that dies without a word is gone within seconds; and one that said so and never comes back is
 * gone after ten minutes. Over the real membership, in virtual time.
 */

const file = 'test/simulation/cluster-pause.test.ts'
/** What a crashed host's records may outlive it by. */
const crashBoundMs = 6000
const pauseMostMs = 10 * 60_000
const endpoints = 5

interface Scene {
  readonly world: World
  readonly others: readonly Host[]
  readonly pausing: Host
  /** What the others' listeners were told of the pausing host, since it was last emptied. */
  readonly told: Transition[]
}

async function scene(seed: number, each = endpoints): Promise<Scene> {
  const world = new World({ seed, hosts: 4 })
  for (const host of world.hosts) for (let i = 0; i < each; i++) world.put(host, i)
  await world.startAll()
  expect(world.differences()).to.deep.equal([])
  const [pausing, ...others] = world.hosts
  const told: Transition[] = []
  for (const host of others)
    host.cluster!.onTransitions((batch) => {
      told.push(...batch.filter(({ origin }) => origin === pausing!.name))
    })
  return { world, others, pausing: pausing!, told }
}

/** The plugin stops, having said that it pauses. */
async function pause({ world, pausing }: Scene): Promise<void> {
  const said = pausing.cluster!.announceRestart()
  await world.clock.advance(1000)
  await said
  await world.crash(pausing, 'kept')
}

const stateOf = (by: Host, name: string): string | undefined =>
  by.cluster!.members().find((member) => member.name === name)?.state

const seen = ({ world, others, pausing }: Scene): number[] =>
  others.map((host) => world.seen(host, pausing).size)

const all = [endpoints, endpoints, endpoints]
const none = [0, 0, 0]

describe('a plugin that pauses', function () {
  this.timeout(60_000)

  it('leaves its endpoints standing, and comes back without a transition', () =>
    forSeeds(file, seedsOf(5), async (seed) => {
      const it = await scene(seed)
      await pause(it)
      await it.world.clock.advance(60_000)
      expect(stateOf(it.others[0]!, it.pausing.name)).to.equal('dead')
      expect(it.others[0]!.cluster!.hasAllOf(it.pausing.address)).to.equal(true)
      expect(seen(it)).to.deep.equal(all)
      await it.world.start(it.pausing, [it.others[0]!])
      await it.world.clock.advance(5000)
      expect(it.world.differences()).to.deep.equal([])
      expect(it.told).to.deep.equal([])
    }))

  it('loses only what it does not have any more when it is back', () =>
    forSeeds(file, seedsOf(3), async (seed) => {
      const it = await scene(seed)
      await pause(it)
      await it.world.clock.advance(20_000)
      it.world.remove(it.pausing)
      await it.world.start(it.pausing, [it.others[0]!])
      await it.world.clock.advance(5000)
      expect(it.world.differences()).to.deep.equal([])
      expect(it.told).to.have.length(it.others.length)
      expect(it.told.every(({ next }) => next === null)).to.equal(true)
    }))

  it('is gone after ten minutes when it does not come back', () =>
    forSeeds(file, seedsOf(2), async (seed) => {
      const it = await scene(seed)
      await pause(it)
      await it.world.clock.advance(pauseMostMs - 5000)
      expect(seen(it)).to.deep.equal(all)
      await it.world.clock.advance(15_000)
      expect(seen(it)).to.deep.equal(none)
      expect(it.others[0]!.cluster!.hasAllOf(it.pausing.address)).to.equal(true)
    }))

  it('pauses anew each time: a crash after it came back is a crash', () =>
    forSeeds(file, seedsOf(3), async (seed) => {
      const it = await scene(seed)
      await pause(it)
      await it.world.clock.advance(20_000)
      await it.world.start(it.pausing, [it.others[0]!])
      await it.world.clock.advance(5000)
      await it.world.crash(it.pausing, 'kept')
      await it.world.clock.advance(crashBoundMs)
      expect(seen(it)).to.deep.equal(none)
    }))
})

describe('a plugin that dies without a word', function () {
  this.timeout(60_000)

  it('is gone within six seconds', () =>
    forSeeds(file, seedsOf(5), async (seed) => {
      const it = await scene(seed)
      await it.world.crash(it.pausing, 'kept')
      await it.world.clock.advance(crashBoundMs)
      expect(seen(it)).to.deep.equal(none)
    }))
})

describe('what is known of a member', function () {
  this.timeout(60_000)

  it('is nothing before it was heard of, and is never less than all of its records', () =>
    forSeeds(file, seedsOf(3), async (seed) => {
      // More than a packet takes, so that they come in pieces.
      const many = 400
      const { world, others, pausing } = await scene(seed, many)
      const [first] = others
      await world.crash(first!, 'kept')
      await world.start(first!, [pausing])
      expect(first!.cluster!.hasAllOf(pausing.address)).to.equal(false)
      const unknown = new Set(world.hosts.filter((host) => host !== first))
      for (let ms = 0; ms < 5000 && unknown.size > 0; ms += 5) {
        await world.clock.advance(5)
        for (const host of unknown) {
          if (!first!.cluster!.hasAllOf(host.address)) continue
          expect(world.seen(first!, host).size).to.equal(many)
          unknown.delete(host)
        }
      }
      for (const host of world.hosts) expect(first!.cluster!.hasAllOf(host.address)).to.equal(true)
      expect(first!.cluster!.seeds().toSorted()).to.deep.equal(
        world.hosts
          .filter((host) => host !== first)
          .map(({ address }) => `${address}:7946`)
          .toSorted(),
      )
    }))
})
