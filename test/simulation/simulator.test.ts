import { Simulation, type SimulationOptions, replayOf } from './simulator/simulation.ts'
import { seedsOf } from './support/seeds.ts'

/** Whole plugins under faults: what is checked is in simulator/checkers. `SIM_HOSTS=300` runs as many hosts once. */
describe('whole plugins under faults', () => {
  const hosts = Number(process.env['SIM_HOSTS'] ?? 0)
  if (hosts > 0)
    for (const seed of seedsOf(1)) works({ seed, hosts, troubleMs: 20_000, faults: hosts / 5 })
  else {
    for (const seed of seedsOf(6)) works({ seed, hosts: 3, troubleMs: 30_000, faults: 20 })
    for (const seed of seedsOf(4)) works({ seed, hosts: 6, troubleMs: 60_000, faults: 50 })
  }

  // A voter that left while another was dead took the majority with it.
  for (const seed of [70_018, 70_044, 160_491])
    works({ seed, hosts: 3, troubleMs: 20_000, faults: 15 })

  if (process.env['SIM_LONG'] === '1') {
    // An epoch that a member had heard nothing of was told to others as an empty one.
    works({ seed: 300_133, hosts: 6, troubleMs: 60_000, faults: 50 })
    // Two hosts kept a VNI that was not the agreed one.
    works({ seed: 310_193, hosts: 5, troubleMs: 60_000, faults: 45 })
  }

  // Members that are evicted while the network is cut and configurations change.
  const evictions = {
    evict: 4,
    partition: 3,
    oneWay: 3,
    pause: 3,
    crash: 3,
    weather: 2,
    diskLost: 1,
  }
  for (const seed of [400_000, 400_001, 400_003])
    works({ seed, hosts: 4, troubleMs: 40_000, faults: 20, only: evictions })

  // Disks put back from old copies, in reach of a leader.
  const oldDisks = { diskOld: 6, crash: 3, crashAtDisk: 4, partition: 2, oneWay: 2, diskFull: 1 }
  for (const seed of [500_000, 500_001, 500_002])
    works({ seed, hosts: 4, troubleMs: 40_000, faults: 20, only: oldDisks })

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
