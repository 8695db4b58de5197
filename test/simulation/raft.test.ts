import { expect } from 'chai'
import { isLinearizable } from './raft/linearizability.ts'
import { Nemesis } from './raft/nemesis.ts'
import { World } from './raft/world.ts'
import { forSeeds, seedsOf } from './support/seeds.ts'

const file = 'test/simulation/raft.test.ts'

/** Faults for this long, ms of virtual time; then all is well and it has to settle. */
const troubleMs = 20_000
const settleMs = 20_000

function run(seed: number): Promise<void> {
  const world = new World(seed)
  const nemesis = new Nemesis(world)
  world.run(1000, () => {})
  world.run(troubleMs, () => nemesis.strike())
  world.heal()
  expect(world.settles(settleMs), 'serves again after the faults').to.equal(true)
  expect(isLinearizable(world.observed()), 'what clients saw is linearizable').to.equal(true)
  if (process.env['VERBOSE'])
    process.stdout.write(
      `${seed}: ${world.history.length} operations, ${world.invariants.leaders} leaders, ` +
        `${JSON.stringify(Object.fromEntries(nemesis.counts))}\n`,
    )
  return Promise.resolve()
}

describe('Raft among faults', () => {
  it('keeps its safety properties after every step, serves again, and is linearizable', async function () {
    this.timeout(0)
    await forSeeds(file, seedsOf(40), run)
  })
})
