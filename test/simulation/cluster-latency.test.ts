import { expect } from 'chai'
import { below, pick } from '../../src/base/random.ts'
import { endpointRecord } from '../../src/cluster/wire/endpoint-record.ts'
import { Measure } from './support/measure.ts'
import { finish, hasLost, settled, untilAll } from './support/samples.ts'
import { forSeeds, long, seedsOf } from './support/seeds.ts'
import { type Host, World } from './support/world.ts'

/*
 * How long it takes until all know, one perturbation at a time, over memberlist-js in virtual time.
 * The tail counts, not the median: that is where Docker's own gossip takes a minute. A run prints
 * its figures; docs/cluster-state.md has those of long runs (SIM_LONG=1).
 */

const file = 'test/simulation/cluster-latency.test.ts'

/** Milliseconds until all others have been told of a record that was put just now. */
function untilTold(world: World, owner: Host): Promise<number> {
  const record = world.put(owner)
  return untilAll(world, world.up, (host) => host === owner || world.sees(host, owner, record))
}

/** Milliseconds from the moment a host begins to leave until nobody shows a record of it. */
async function untilForgotten(world: World, host: Host): Promise<number> {
  const forgotten = hasLost(host)
  const left = world.leave(host)
  const rest = world.up.filter((other) => other !== host)
  const took = await untilAll(world, rest, forgotten)
  await finish(world, left)
  return took
}

/**
 * Writes, pauses at once, and stops: milliseconds until all others have been told of the record.
 */
async function untilToldByPausing(world: World, host: Host): Promise<number> {
  const record = world.put(host)
  const start = world.clock.now()
  await world.clock.advance(below(world.random, 30))
  const stopped = host.cluster!.announceRestart().then(() => world.crash(host, 'kept'))
  const rest = world.up.filter((other) => other !== host)
  await untilAll(world, rest, (other) => world.sees(other, host, record))
  const took = world.clock.now() - start
  await finish(world, stopped)
  return took
}

describe('simulation/cluster latency', function () {
  this.timeout(0)

  for (const [hosts, loss] of [
    [10, 0],
    [25, 0],
    [25, 0.05],
    [100, 0.05],
  ] as const) {
    const what = `quiet write, N = ${hosts}, ${100 * loss} % loss`
    it(what, async () => {
      const told = new Measure(file, what)
      await forSeeds(file, seedsOf(long ? 25 : hosts > 50 ? 1 : 3), async (seed) => {
        const world = await settled(hosts, seed)
        world.memory.conditions = { ...world.memory.conditions, loss }
        for (let i = 0; i < (hosts > 50 ? 20 : 40); i++) {
          told.add(seed, await untilTold(world, pick(world.random, world.up)!))
          await world.clock.advance(200 + below(world.random, 300))
        }
      })
      told.check({ median: 400, most: 1000 })
    })
  }

  for (const [hosts, loss] of [
    [10, 0],
    [25, 0],
    [25, 0.05],
  ] as const) {
    const where = `N = ${hosts}, ${100 * loss} % loss`
    it(`write by one who is just joining, pausing or leaving, ${where}`, async () => {
      const joins = new Measure(file, `write while joining, ${where}`)
      const pauses = new Measure(file, `write, then pause, ${where}`)
      const leaves = new Measure(file, `write, then leave, ${where}`)
      await forSeeds(file, seedsOf(long ? 250 : 4), async (seed) => {
        const world = await settled(hosts, seed)
        world.memory.conditions = { ...world.memory.conditions, loss }
        const last = world.hosts[hosts - 1]!
        const startAgain = async (): Promise<void> => {
          await world.clock.advance(below(world.random, 3000))
          await world.start(last, [pick(world.random, world.hosts.slice(0, hosts - 1))!])
          await world.clock.advance(below(world.random, 50))
        }
        for (let i = 0; i < 4; i++) {
          world.put(last)
          await world.clock.advance(below(world.random, 30))
          leaves.add(seed, await untilForgotten(world, last))
          await startAgain()
          joins.add(seed, await untilTold(world, last))
          await world.clock.advance(below(world.random, 2000))
          pauses.add(seed, await untilToldByPausing(world, last))
          await startAgain()
          await world.clock.advance(1000)
        }
        expect(world.problems).to.deep.equal([])
      })
      for (const each of [joins, pauses, leaves]) each.check({ most: 2000 })
    })
  }

  it('write under churn, N = 25: 8 junk writes per 20 ms and one flapping member', async () => {
    const told = new Measure(file, 'write under churn, N = 25')
    await forSeeds(file, seedsOf(long ? 20 : 2), async (seed) => {
      const world = await settled(25, seed)
      const flapper = world.hosts[24]!
      const stop = [junk(world, flapper), flapping(world, flapper)]
      await world.clock.advance(1000)
      for (let i = 0; i < 10; i++) {
        const owner = pick(world.random, world.hosts.slice(0, 24))!
        const record = world.put(owner, 1000 + i)
        const rest = world.hosts.slice(0, 24).filter((host) => host !== owner)
        const took = await untilAll(world, rest, (host) => world.sees(host, owner, record))
        told.add(seed, took)
        await world.clock.advance(below(world.random, 500))
      }
      for (const each of stop) each()
      await world.clock.advance(1000)
    })
    told.check({ median: 1000, most: 3000 })
  })
})

describe('simulation/cluster members that missed a join', function () {
  this.timeout(0)

  it('learn of it with the first write of the new member, N = 10', async () => {
    const told = new Measure(file, 'write by one whom some have missed, N = 10')
    await forSeeds(file, seedsOf(long ? 1000 : 100), async (seed) => {
      const world = new World({ seed, hosts: 10 })
      const last = world.hosts[9]!
      const [first, ...rest] = world.hosts.slice(0, 9)
      for (const host of [first!, ...rest]) await world.start(host, host === first ? [] : [first!])
      await world.clock.advance(3000)
      // Nothing reaches two members while the join is gossiped.
      const deaf = rest.slice(0, 2)
      for (const host of deaf)
        for (const other of world.hosts) if (other !== host) world.links.cut(other, host)
      await world.start(last, [first!])
      await world.clock.advance(1500)
      world.links.heal()
      told.add(seed, await untilTold(world, last))
    })
    told.check({ p90: 1500, most: 5000 })
  })
})

/** 400 writes a second by anybody, creating, changing and deleting. Returns how to stop. */
function junk(world: World, except: Host): () => void {
  let on = true
  const turn = (): void => {
    if (!on) return
    for (let i = 0; i < 8; i++) {
      const host = pick(world.random, world.up)!
      if (host === except) continue
      if (below(world.random, 3) === 0) world.remove(host, junkKey(world, host))
      else world.put(host)
    }
    world.clock.setTimeout(turn, 20)
  }
  turn()
  return () => (on = false)
}

/** Any key but those that are measured. */
function junkKey(world: World, host: Host): string {
  const keys = [...host.truth.values()].filter(
    ({ endpointId }) => Number.parseInt(endpointId, 16) < 1000,
  )
  const record = pick(world.random, keys)
  return record === undefined ? '' : endpointRecord.keyOf(record)
}

/** Crashes a host and starts it again, again and again. Returns how to stop. */
function flapping(world: World, host: Host): () => void {
  let on = true
  const turn = (): void => {
    if (!on) return
    const restart =
      host.cluster === null ? world.start(host, [world.hosts[0]!]) : world.crash(host, 'kept')
    void restart.then(() => world.clock.setTimeout(turn, 300 + below(world.random, 1500)))
  }
  turn()
  return () => (on = false)
}
