import { expect } from 'chai'
import { below, pick } from '../../src/base/random.ts'
import { Measure } from './support/measure.ts'
import { forSeeds, long, seedsOf } from './support/seeds.ts'
import { World } from './support/world.ts'

/*
 * Many members, as many as SIM_HOSTS says. By default 150; a thousand take long to find each other
 * in one process, and some gigabytes.
 */
const hosts = Number(process.env['SIM_HOSTS'] ?? (long ? 1000 : 150))
/** Times spread widely at a thousand members: a median of twenty says little there. */
const writes = long ? 200 : hosts < 1000 ? 20 : 100
const limits = hosts < 1000 ? { median: 75, p99: 300 } : { median: 150, p99: 400 }
/** Of each member for each write; it was 14 to 15 at 150 members and 21 at a thousand. */
const packetsMost = hosts < 1000 ? 18 : 25

const file = 'test/simulation/cluster-thousand.test.ts'

describe('simulation/cluster of many', function () {
  this.timeout(0)

  it(`a write reaches ${hosts} members, 5 % loss`, async () => {
    const told = new Measure(file, `quiet write, N = ${hosts}, 5 % loss`)
    await forSeeds(file, seedsOf(1), async (seed) => {
      const world = new World({ seed, hosts })
      await world.startAll()
      world.memory.conditions = { ...world.memory.conditions, loss: 0.05 }
      const before = { ...world.links.sent }
      const begun = world.clock.now()
      for (let i = 0; i < writes; i++) {
        told.add(seed, await untilTold(world))
        await world.clock.advance(500 + below(world.random, 500))
      }
      const packets = (world.links.sent.packets - before.packets) / hosts / writes
      const kilobytes = (world.links.sent.packetBytes - before.packetBytes) / hosts / 1000
      const seconds = (world.clock.now() - begun) / 1000
      process.stdout.write(
        `    ${packets.toFixed(1)} packets a write and ${(kilobytes / seconds).toFixed(2)} kB/s a member\n`,
      )
      expect(packets, 'packets of a member for each write').to.be.at.most(packetsMost)
    })
    told.check(limits)
  })
})

/** Milliseconds until all others have been told of a record that somebody put just now. */
async function untilTold(world: World): Promise<number> {
  const owner = pick(world.random, world.up)!
  const record = world.put(owner)
  const start = world.clock.now()
  const waiting = new Set(world.hosts.filter((host) => host !== owner))
  const isTold = (): boolean => {
    for (const host of waiting) {
      if (!world.sees(host, owner, record)) return false
      waiting.delete(host)
    }
    return true
  }
  await world.clock.advanceUntil(isTold, 60_000)
  return world.clock.now() - start
}
