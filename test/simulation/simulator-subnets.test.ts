import { Simulation, type SimulationOptions, replayOf } from './simulator/simulation.ts'
import { seedsOf } from './support/seeds.ts'

/** Networks with several subnets of both families, which run full and grow while there are faults. */
describe('whole plugins whose networks have several subnets, under faults', () => {
  for (const seed of seedsOf(4))
    works({ seed, hosts: 3, troubleMs: 30_000, faults: 15, severalSubnets: true })

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
