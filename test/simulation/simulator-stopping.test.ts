import { expect } from 'chai'
import { consensus } from './simulator/checkers/consensus.ts'
import { members } from './simulator/checkers/members.ts'
import type { Host } from './simulator/host.ts'
import { Simulation } from './simulator/simulation.ts'
import { roomySubnet } from './simulator/user.ts'

describe('a host that stops', () => {
  let simulation: Simulation

  beforeEach(async () => {
    simulation = new Simulation({ seed: 1, hosts: 3, troubleMs: 0, faults: 0 })
    await simulation.start()
  })
  afterEach(() => simulation.end())

  it('with a full disk leaves all the same', async () => {
    const [other, host] = simulation.hosts as [Host, Host, Host]
    host.disk.full = true
    void host.stop()
    await simulation.advance(10_000)
    const members = other.process!.plugin!.cluster.members()
    expect(members.find(({ name }) => name === host.name)?.state).to.equal('left')
  })
})

describe('idle hosts that all stop in good order', () => {
  let simulation: Simulation

  beforeEach(async () => {
    simulation = new Simulation({ seed: 1, hosts: 5, troubleMs: 0, faults: 0 })
    await simulation.start()
    await simulation.until('five vote', 60_000, [
      {
        name: 'five',
        check: (hosts) =>
          hosts[0]!.process!.plugin!.consensus.status().voters.length === 5 ? [] : ['fewer'],
      },
    ])
    void simulation.hosts[0]!.engine.createNetwork(roomySubnet)
    await simulation.untilIdle()
  })
  afterEach(() => simulation.end())

  const clusterId = ({ process }: Host): string => process!.plugin!.consensus.status().clusterId

  async function backTogether(): Promise<void> {
    await simulation.until('they are one cluster again', 120_000, [members, consensus])
  }

  for (const [how, pauseMs] of [
    ['at once', 0],
    ['one after another', 5000],
  ] as const)
    it(`${how} are the same cluster when they come back, the last one last`, async () => {
      const before = clusterId(simulation.hosts[0]!)
      for (const host of simulation.hosts) {
        void host.stop()
        await simulation.advance(pauseMs)
      }
      await simulation.advance(10_000)
      for (const host of simulation.hosts) {
        host.start()
        await simulation.advance(pauseMs)
      }
      await backTogether()
      expect(clusterId(simulation.hosts[0]!)).to.equal(before)
      const { ipam } = simulation.hosts[0]!.process!.plugin!
      expect(ipam.status().pools.map(({ poolKey }) => poolKey)).to.include(roomySubnet)
    })

  it('go on from what the last but one has when the last is lost', async () => {
    for (const host of simulation.hosts) {
      void host.stop()
      await simulation.advance(5000)
    }
    const [lost, survivor] = [simulation.hosts[4]!, simulation.hosts[3]!]
    lost.reinstall(null)
    for (const host of simulation.hosts.slice(0, 4)) host.start()
    await simulation.advance(10_000)
    void survivor.process!.plugin!.consensus.recover()
    await simulation.advance(10_000)
    lost.start()
    await backTogether()
  })
})
