import { Simulation, type SimulationOptions, replayOf } from './simulator/simulation.ts'
import { seedsOf } from './support/seeds.ts'

/** Whole plugins under faults: what is checked is in simulator/checkers. */
describe('whole plugins under faults', () => {
  for (const seed of seedsOf(6)) works({ seed, hosts: 3, troubleMs: 30_000, faults: 20 })
  for (const seed of seedsOf(4)) works({ seed, hosts: 6, troubleMs: 60_000, faults: 50 })

  function works(options: SimulationOptions): void {
    it(`${options.hosts} hosts, seed ${options.seed}`, async () => {
      try {
        await new Simulation(options).run()
      } catch (error) {
        const { message } = error as Error
        throw new Error(`${message}\nreplay: ${replayOf(options)}`, { cause: error })
      }
    })
  }
})
