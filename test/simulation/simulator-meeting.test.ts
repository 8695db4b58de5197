import { expect } from 'chai'
import { consensus } from './simulator/checkers/consensus.ts'
import { members } from './simulator/checkers/members.ts'
import type { Host } from './simulator/host.ts'
import { Simulation } from './simulator/simulation.ts'
import { roomySubnet } from './simulator/user.ts'

const clusterOf = (host: Host): string => host.process!.plugin!.consensus.status().clusterId

describe('two clusters that meet', () => {
  let simulation: Simulation

  function begin(count: number): Host[] {
    simulation = new Simulation({ seed: 1, hosts: count, troubleMs: 0, faults: 0 })
    return simulation.hosts
  }
  afterEach(() => simulation.end())

  const settled = (of: readonly Host[]): Promise<number> => {
    const one = { name: 'one', check: () => [...members.check(of), ...consensus.check(of)] }
    return simulation.until('one cluster', 120_000, [one])
  }

  it('after `recover` become one when the lost majority returns after all, and no address is given twice', async () => {
    const [survivor, ...others] = begin(3) as [Host, ...Host[]]
    await simulation.start()
    for (const { engine } of simulation.hosts) void engine.createNetwork(roomySubnet)
    await simulation.untilIdle()
    for (const { engine } of simulation.hosts) void engine.run(roomySubnet)
    await simulation.untilIdle()
    for (const host of others) {
      host.isHeldDown = true
      host.losePower()
    }
    await simulation.advance(20_000)
    void survivor.process!.plugin!.consensus.recover()
    await simulation.advance(20_000)
    void survivor.engine.run(roomySubnet)
    await simulation.advance(10_000)
    for (const host of others) host.isHeldDown = false
    await simulation.settle()
    await simulation.clear()
  })

  it('founded apart have authorities of their own: they stay two, and say so', async () => {
    const [a, b, c, d] = begin(4) as [Host, Host, Host, Host]
    const [left, right] = [
      [a, b],
      [c, d],
    ]
    for (const some of [left, right])
      for (const host of some) host.seeds = some.map(({ address }) => address)
    for (const host of simulation.hosts) host.start()
    await settled(left)
    await settled(right)
    const before = simulation.hosts.map(clusterOf)
    expect(new Set(before).size).to.equal(2)
    for (const host of right) {
      host.seeds = simulation.hosts.map(({ address }) => address)
      host.crash()
    }
    await simulation.advance(60_000)
    expect(simulation.hosts.map(clusterOf)).to.deep.equal(before)
    for (const host of simulation.hosts) {
      const { list } = host.process!.plugin!.status().findings
      const said = list.filter(({ code }) => code === 'HOST_REFUSED').map(({ text }) => text)
      expect(said.join(), host.name).to.contain("is not of this cluster's authority: join it with")
    }
    await settled(left)
    await settled(right)
  })
})
