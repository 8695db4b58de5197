import { expect } from 'chai'
import { below, pick } from '../../src/base/random.ts'
import { hasLost, report, sampled, settled, untilAll, untilConverged } from './support/samples.ts'
import { long } from './support/seeds.ts'
import type { Host, World } from './support/world.ts'

/*
 * Hosts that lose their cable, and clusters cut in two, over memberlist-js in virtual time: how soon the lost
 * are gone, how soon all is right again afterwards, and that nobody else is taken for lost.
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
    const healed: number[] = []
    const gone = await sampled(file, long ? 1000 : 10, async (seed, add) => {
      const world = await settled(25, seed)
      const lost = pick(world.random, world.hosts)!
      const rest = world.hosts.filter((host) => host !== lost)
      for (const host of world.hosts) world.put(host)
      await world.clock.advance(1000)
      const innocents = countInnocents(world, lost)
      world.memory.partition([[endpointOf(lost)]])
      add(await untilAll(world, rest, hasLost(lost)))
      for (const host of world.hosts) world.put(host)
      await world.clock.advance(10_000 + below(world.random, 20_000))
      world.memory.heal()
      healed.push(await untilConverged(world))
      await world.clock.advance(1000)
      expect(innocents.removals, 'records of others that were taken away').to.equal(0)
      expect(world.problems).to.deep.equal([])
    })
    const death = report('death, gone everywhere, N = 25', gone)
    expect(death.median).to.be.at.most(4000)
    expect(death.most).to.be.at.most(6000)
    const back = report('cable back, all equal, N = 25', healed)
    // Half of the 3 s that are promised: without one of the rules of knocking it takes more.
    expect(back.median).to.be.at.most(500)
    expect(back.most).to.be.at.most(1500)
  })

  it('two halves that were cut apart are equal again, N = 25', async () => {
    const samples = await sampled(file, long ? 1000 : 4, async (seed, add) => {
      const world = await settled(25, seed)
      for (const host of world.hosts) world.put(host)
      world.memory.partition([world.hosts.slice(0, 12).map(endpointOf)])
      for (let second = 0; second < 30; second++) {
        await world.clock.advance(1000)
        world.put(pick(world.random, world.hosts)!)
        world.remove(pick(world.random, world.hosts)!)
      }
      world.memory.heal()
      add(await untilConverged(world))
      expect(world.problems).to.deep.equal([])
    })
    const { most } = report('cut of 30 s healed, all equal, N = 25', samples)
    expect(most).to.be.at.most(1000)
  })
})
