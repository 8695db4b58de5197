import { expect } from 'chai'
import { below, pick } from '../../src/base/random.ts'
import { Measure } from './support/measure.ts'
import { hasLost, settled, untilAll, untilConverged } from './support/samples.ts'
import { forSeeds, long, seedsOf } from './support/seeds.ts'
import type { Host, World } from './support/world.ts'

/*
 * Hosts that lose their cable, and clusters cut in two, over memberlist-js in virtual time: how
 * soon the lost are gone, how soon all is right again afterwards, and that nobody else is taken for
 * lost.
 */

const file = 'test/simulation/cluster-cuts.test.ts'

function endpointOf({ address }: Host): { address: string; port: number } {
  return { address, port: 7946 }
}

/** Counts what hosts other than `lost` are told to remove of hosts other than `lost`. */
function countInnocents(world: World, lost: Host): { removals: number } {
  const count = { removals: 0 }
  for (const { cluster } of world.hosts.filter((host) => host !== lost)) {
    cluster!.onTransitions((batch) => {
      count.removals += batch.filter(
        ({ origin, next }) => next === null && origin !== lost.name,
      ).length
    })
  }
  return count
}

describe('simulation/cluster cuts', function () {
  this.timeout(0)

  it('a host that is cut off is gone everywhere, and back with its cable, N = 25', async () => {
    const gone = new Measure(file, 'death, gone everywhere, N = 25')
    const back = new Measure(file, 'cable back, all equal, N = 25')
    await forSeeds(file, seedsOf(long ? 1000 : 10), async (seed) => {
      const world = await settled(25, seed)
      const lost = pick(world.random, world.hosts)!
      const rest = world.hosts.filter((host) => host !== lost)
      for (const host of world.hosts) world.put(host)
      await world.clock.advance(1000)
      const innocents = countInnocents(world, lost)
      world.memory.partition([[endpointOf(lost)]])
      gone.add(seed, await untilAll(world, rest, hasLost(lost)))
      for (const host of world.hosts) world.put(host)
      await world.clock.advance(10_000 + below(world.random, 20_000))
      world.memory.heal()
      back.add(seed, await untilConverged(world))
      await world.clock.advance(1000)
      expect(innocents.removals, 'records of others that were taken away').to.equal(0)
      expect(world.problems).to.deep.equal([])
    })
    gone.check({ median: 4000, most: 6000 })
    // Half of the 3 s that are promised: without one of the rules of knocking it takes more.
    back.check({ median: 500, most: 1500 })
  })

  it('two halves that were cut apart are equal again, N = 25', async () => {
    const equal = new Measure(file, 'cut of 30 s healed, all equal, N = 25')
    await forSeeds(file, seedsOf(long ? 1000 : 4), async (seed) => {
      const world = await settled(25, seed)
      for (const host of world.hosts) world.put(host)
      world.memory.partition([world.hosts.slice(0, 12).map(endpointOf)])
      for (let second = 0; second < 30; second++) {
        await world.clock.advance(1000)
        world.put(pick(world.random, world.hosts)!)
        world.remove(pick(world.random, world.hosts)!)
      }
      world.memory.heal()
      equal.add(seed, await untilConverged(world))
      expect(world.problems).to.deep.equal([])
    })
    equal.check({ most: 1000 })
  })
})
