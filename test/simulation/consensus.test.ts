import { expect } from 'chai'
import { below, pick } from '../../src/base/random.ts'
import { ConsensusWorld } from './consensus/world.ts'
import { isLinearizable } from './raft/linearizability.ts'
import { forSeeds, seedsOf } from './support/seeds.ts'

const file = 'test/simulation/consensus.test.ts'
const troubleMs = 40_000

/** The first founds, the others find it. */
async function clusterOf(seed: number, hosts: number): Promise<ConsensusWorld> {
  const world = new ConsensusWorld(seed)
  const names = Array.from({ length: hosts }, (_, i) => `h${i}`)
  const all = world.add(...names)
  for (const host of all.slice(1)) host.founds = false
  for (const host of all) host.start()
  const wanted = Math.min(5, hosts - ((hosts + 1) % 2))
  await world.until('all vote that should', () => world.voters().length === wanted, 120_000)
  // A host that loses its disk joins the others.
  for (const host of all) host.founds = false
  return world
}

function strike(world: ConsensusWorld, lost: Set<string>): void {
  const { random } = world
  const present = world.voters()
  for (const name of lost) if (present.length > 0 && !present.includes(name)) lost.delete(name)
  const host = pick(random, [...world.hosts.values()])!
  const names = [...world.hosts.keys()]
  switch (below(random, 9)) {
    case 0:
    case 1:
      return host.crash()
    case 2:
    case 3:
    case 4:
      for (const other of world.hosts.values()) if (!other.isUp) other.start()
      return
    case 5:
      return world.cut(host.name, pick(random, names)!)
    case 6:
      world.lost = below(random, 100)
      world.maxDelayMs = pick(random, [2, 30])!
      host.offsetMs = below(random, 3) * 3_600_000 - 3_600_000
      return
    case 7: {
      // One lost disk at a time: the next when the server that was on it does not vote any more.
      const voters = world.voters()
      if (lost.size > 0 || voters.length < 3 || !host.isUp) return
      lost.add(host.name)
      return host.loseDisk()
    }
    default:
      return world.heal()
  }
}

async function run(seed: number): Promise<void> {
  const world = await clusterOf(seed, 3 + (seed % 4))
  const end = world.clock.now() + troubleMs
  const lost = new Set<string>()
  const clients = [...world.hosts.values()].map((host) => world.work(host, end))
  while (world.clock.now() < end) {
    await world.clock.advance(below(world.random, 1500))
    strike(world, lost)
  }
  world.heal()
  world.lost = 0
  for (const host of world.hosts.values()) if (!host.isUp) host.start()
  await world.clock.advance(6000)
  await Promise.all(clients)
  await world.until('somebody leads', () => world.leader !== undefined)
  for (const host of world.hosts.values()) {
    let done = false
    void world.operate(host, 8000).then((result) => (done = result !== null))
    await world.until(`${host.name} is served`, () => done, 9000)
  }
  expect(isLinearizable(world.history), 'what clients saw is linearizable').to.equal(true)
}

describe('the replicated state among faults', () => {
  it('serves every host again, and clients see it as one', async function () {
    this.timeout(0)
    await forSeeds(file, seedsOf(15), run)
  })
})
