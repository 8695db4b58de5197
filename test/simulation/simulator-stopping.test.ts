import { expect } from 'chai'
import type { Host } from './simulator/host.ts'
import { Simulation } from './simulator/simulation.ts'

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
