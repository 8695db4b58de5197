import { expect } from 'chai'
import { consensus } from './simulator/checkers/consensus.ts'
import { members } from './simulator/checkers/members.ts'
import type { Host } from './simulator/host.ts'
import { Simulation } from './simulator/simulation.ts'
import { roomySubnet } from './simulator/user.ts'

const hourMs = 3_600_000

/** A process that stands still, as on a host that is suspended or a virtual machine that waits. */
describe('a host that sleeps for an hour', function () {
  this.timeout(120_000)
  let simulation: Simulation

  beforeEach(async () => {
    simulation = new Simulation({ seed: 1, hosts: 3, troubleMs: 0, faults: 0 })
    await simulation.start()
  })
  afterEach(() => simulation.end())

  const fdbOf = ({ process }: Host): number =>
    process!.plugin!.status().dataplane.overlays.reduce((sum, { fdb }) => sum + fdb, 0)

  it('comes back as itself, with its containers, its rows and nobody twice', async () => {
    const [first, other, sleeper] = simulation.hosts as [Host, Host, Host]
    for (const { engine } of simulation.hosts) void engine.createNetwork(roomySubnet)
    await simulation.untilIdle()
    for (const { engine } of simulation.hosts) void engine.run(roomySubnet)
    await simulation.untilIdle()
    await simulation.advance(5000)
    expect(simulation.hosts.map(fdbOf)).to.deep.equal([2, 2, 2])
    const identity = sleeper.process!.plugin!.status().consensus.clusterId

    sleeper.pause()
    await simulation.advance(hourMs)
    expect([first, other].map(fdbOf)).to.deep.equal([1, 1])
    // Others start meanwhile, and one more after it woke.
    void first.engine.run(roomySubnet)
    await simulation.untilIdle()

    sleeper.unpause()
    await simulation.until('it is back', 120_000, [members, consensus])
    const rows = (): number[] => simulation.hosts.map(fdbOf)
    await simulation.until('the rows are right', 60_000, [
      { name: 'rows', check: () => (rows().join() === '2,3,3' ? [] : [rows().join()]) },
    ])
    void sleeper.engine.run(roomySubnet)
    await simulation.untilIdle()
    await simulation.advance(5000)
    expect(rows()).to.deep.equal([3, 4, 3])
    const { consensus: agreed, disagreements, members: listed } = sleeper.process!.plugin!.status()
    expect(agreed.clusterId).to.equal(identity)
    expect(disagreements.count).to.equal(0)
    expect(listed.map(({ name }) => name).toSorted()).to.deep.equal(
      simulation.hosts.map(({ name }) => name).toSorted(),
    )
  })
})
