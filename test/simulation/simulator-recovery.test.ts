import { expect } from 'chai'
import { consensus } from './simulator/checkers/consensus.ts'
import type { Host } from './simulator/host.ts'
import { Simulation } from './simulator/simulation.ts'
import { roomySubnet } from './simulator/user.ts'

/** Longer than an election takes, ms. */
const electionMs = 15_000

describe('a cluster that has lost most of its voters', () => {
  let simulation: Simulation

  beforeEach(async () => {
    simulation = new Simulation({ seed: 1, hosts: 3, troubleMs: 0, faults: 0 })
    await simulation.start()
  })
  afterEach(() => simulation.end())

  it('grants nothing, is recovered by one voter, and no address is given twice', async () => {
    const [survivor, ...others] = simulation.hosts as [Host, ...Host[]]
    for (const { engine } of simulation.hosts) void engine.createNetwork(roomySubnet)
    await simulation.untilIdle()
    for (const { engine } of simulation.hosts) void engine.run(roomySubnet)
    await simulation.untilIdle()
    for (const host of others) host.reinstall(null)
    await simulation.advance(electionMs)
    expect(await tries(survivor, '10.9.0.0/16'), 'a pool without a majority').to.equal(false)
    expect(await tries(survivor, roomySubnet), 'an address of its own block').to.equal(true)

    void survivor.process!.plugin!.consensus.recover()
    await simulation.until('the others have joined the survivor', 120_000, [consensus])
    await simulation.settle()
    await simulation.clear()
  })

  /** Whether a host can start a container in a subnet, with the network first if it has none. */
  async function tries({ engine }: Host, subnet: string): Promise<boolean> {
    if (!engine.networks.has(subnet)) {
      void engine.createNetwork(subnet)
      await simulation.untilIdle()
    }
    const before = engine.successes
    void engine.run(subnet)
    await simulation.untilIdle()
    return engine.successes > before
  }
})
