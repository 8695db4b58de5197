import { expect } from 'chai'
import { below, pick } from '../../src/base/random.ts'
import { recordKey } from '../../src/cluster/records.ts'
import { type Figures, figuresLine, figuresOf } from './support/figures.ts'
import { forSeeds, long, seedsOf } from './support/seeds.ts'
import { type Host, World } from './support/world.ts'

/*
 * How long it takes until all know, one perturbation at a time, over memberlist-js in virtual time. The
 * tail counts, not the median: that is where Docker's own gossip takes a minute. A run prints its
 * figures; docs/cluster-state.md has those of long runs (SIM_LONG=1).
 */

const file = 'test/simulation/cluster-latency.test.ts'
/** Nothing takes that long; what has not arrived by then counts as this long. */
const patienceMs = 60_000

async function settled(hosts: number, seed: number): Promise<World> {
  const world = new World({ seed, hosts, membership: 'memberlist' })
  await world.startAll()
  await world.clock.until(() => world.acquainted(), patienceMs)
  return world
}

/** Virtual milliseconds until `done` holds for every running host. */
async function untilAll(world: World, done: (host: Host) => boolean): Promise<number> {
  const start = world.clock.now()
  await world.clock.until(() => world.up.every(done), patienceMs)
  return world.clock.now() - start
}

/** Virtual milliseconds, to about 20, until everybody has everything. */
async function untilConverged(world: World): Promise<number> {
  const start = world.clock.now()
  while (world.clock.now() - start < patienceMs && !world.converged()) await world.clock.advance(20)
  return world.clock.now() - start
}

/** Milliseconds until all others have been told of a record that was put just now. */
function untilTold(world: World, owner: Host): Promise<number> {
  const record = world.put(owner)
  return untilAll(world, (host) => host === owner || world.sees(host, owner, record))
}

/** Milliseconds from the moment a host begins to leave until nobody shows a record of it. */
async function untilForgotten(world: World, host: Host): Promise<number> {
  const start = world.clock.now()
  let gone = false
  const keys = [...host.truth.keys()].map((key) => `${host.name} ${key}`)
  void world.leave(host).then(() => (gone = true))
  const rest = world.up.filter((other) => other !== host)
  const forgotten = (): boolean =>
    rest.every(({ believed }) => keys.every((key) => !believed.has(key)))
  await world.clock.until(forgotten, patienceMs)
  const took = world.clock.now() - start
  await world.clock.until(() => gone, patienceMs)
  return took
}

function report(what: string, samples: readonly number[]): Figures {
  const figures = figuresOf(samples)
  process.stdout.write(`    ${figuresLine(what, figures)}\n`)
  return figures
}

/** One sample after another, in as many worlds as there are seeds. */
async function sampled(
  seeds: number,
  each: (seed: number, add: (ms: number) => void) => Promise<void>,
): Promise<number[]> {
  const samples: number[] = []
  await forSeeds(file, seedsOf(seeds), (seed) => each(seed, (ms) => void samples.push(ms)))
  return samples
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
      const samples = await sampled(long ? 25 : hosts > 50 ? 1 : 3, async (seed, add) => {
        const world = await settled(hosts, seed)
        world.memory.conditions = { ...world.memory.conditions, loss }
        for (let i = 0; i < (hosts > 50 ? 20 : 40); i++) {
          add(await untilTold(world, pick(world.random, world.up)!))
          await world.clock.advance(200 + below(world.random, 300))
        }
      })
      const { median, most } = report(what, samples)
      expect(median).to.be.at.most(400)
      expect(most).to.be.at.most(1000)
    })
  }

  for (const hosts of [10, 25]) {
    it(`write by one who is just joining, and by one who leaves, N = ${hosts}`, async () => {
      const leaves: number[] = []
      const joins = await sampled(long ? 250 : 4, async (seed, add) => {
        const world = await settled(hosts, seed)
        const last = world.hosts[hosts - 1]!
        for (let i = 0; i < 4; i++) {
          world.put(last)
          await world.clock.advance(below(world.random, 30))
          leaves.push(await untilForgotten(world, last))
          await world.clock.advance(below(world.random, 3000))
          await world.start(last, [pick(world.random, world.hosts.slice(0, hosts - 1))!])
          await world.clock.advance(below(world.random, 50))
          add(await untilTold(world, last))
          await world.clock.advance(below(world.random, 2000))
        }
      })
      expect(report(`write while joining, N = ${hosts}`, joins).most).to.be.at.most(2000)
      expect(report(`write, then leave, N = ${hosts}`, leaves).most).to.be.at.most(2000)
    })
  }

  it('write under churn, N = 25: 8 junk writes per 20 ms and one flapping member', async () => {
    const samples = await sampled(long ? 20 : 2, async (seed, add) => {
      const world = await settled(25, seed)
      const flapper = world.hosts[24]!
      const stop = [junk(world, flapper), flapping(world, flapper)]
      await world.clock.advance(1000)
      for (let i = 0; i < 10; i++) {
        const owner = pick(world.random, world.hosts.slice(0, 24))!
        const record = world.put(owner, 1000 + i)
        const rest = world.hosts.slice(0, 24)
        const start = world.clock.now()
        const told = (host: Host): boolean => host === owner || world.sees(host, owner, record)
        await world.clock.until(() => rest.every(told), patienceMs)
        add(world.clock.now() - start)
        await world.clock.advance(below(world.random, 500))
      }
      for (const each of stop) each()
      await world.clock.advance(1000)
    })
    const { median, most } = report('write under churn, N = 25', samples)
    expect(median).to.be.at.most(1000)
    expect(most).to.be.at.most(3000)
  })

  it('a host that dies is gone everywhere, and back when its cable is, N = 25', async () => {
    const healed: number[] = []
    const gone = await sampled(long ? 100 : 4, async (seed, add) => {
      const world = await settled(25, seed)
      const lost = pick(world.random, world.hosts)!
      for (const host of world.hosts) world.put(host)
      await world.clock.advance(1000)
      const rest = world.hosts.filter((host) => host !== lost)
      const endpoint = { address: lost.address, port: 7946 }
      world.memory.partition([[endpoint]])
      const start = world.clock.now()
      const keys = [...lost.truth.keys()].map((key) => `${lost.name} ${key}`)
      const hidden = (host: Host): boolean => keys.every((key) => !host.believed.has(key))
      await world.clock.until(() => rest.every(hidden), patienceMs)
      add(world.clock.now() - start)
      for (const host of world.hosts) world.put(host)
      await world.clock.advance(10_000 + below(world.random, 20_000))
      world.memory.heal()
      healed.push(await untilConverged(world))
    })
    // All but one in three hundred are within 6 s; how soon death is noticed is the library's affair.
    const death = report('death, gone everywhere, N = 25', gone)
    expect(death.median).to.be.at.most(4000)
    expect(death.most).to.be.at.most(8000)
    const back = report('cable back, all equal, N = 25', healed)
    expect(back.p90).to.be.at.most(3000)
    expect(back.most).to.be.at.most(5000)
  })

  it('two halves that were cut apart are equal again, N = 25', async () => {
    const samples = await sampled(long ? 100 : 4, async (seed, add) => {
      const world = await settled(25, seed)
      const half = world.hosts.slice(0, 12).map(({ address }) => ({ address, port: 7946 }))
      for (const host of world.hosts) world.put(host)
      world.memory.partition([half])
      for (let second = 0; second < 30; second++) {
        await world.clock.advance(1000)
        world.put(pick(world.random, world.hosts)!)
        world.remove(pick(world.random, world.hosts)!)
      }
      world.memory.heal()
      add(await untilConverged(world))
      expect(world.problems).to.deep.equal([])
    })
    expect(report('cut of 30 s healed, all equal, N = 25', samples).most).to.be.at.most(4000)
  })
})

describe('simulation/cluster introductions', function () {
  this.timeout(0)

  it('a write reaches those who missed that its owner joined, N = 10', async () => {
    // One in five announcements of a member is missed, and views are exchanged only every 15 s.
    const samples = await sampled(long ? 1000 : 100, async (seed, add) => {
      const world = new World({ seed, hosts: 10, misses: 0.2 })
      await world.startAll()
      await world.clock.until(() => world.acquainted(), patienceMs)
      const last = world.hosts[9]!
      await world.crash(last, 'lost')
      await world.clock.until(
        () =>
          world.hosts.slice(0, 9).every(({ cluster }) => {
            return cluster!.members().find(({ name }) => name === last.name)?.state !== 'alive'
          }),
        patienceMs,
      )
      await world.start(last, [world.hosts[0]!])
      add(await untilTold(world, last))
    })
    const { p90, most } = report('write by one whom some have missed, N = 10', samples)
    expect(p90).to.be.at.most(1500)
    expect(most).to.be.at.most(5000)
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
  return record === undefined ? '' : recordKey(record)
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
