import { expect } from 'chai'
import { consensus } from './simulator/checkers/consensus.ts'
import { members } from './simulator/checkers/members.ts'
import type { Host } from './simulator/host.ts'
import { Simulation } from './simulator/simulation.ts'

/** All hosts have one JOIN, which names all of them, and a token that was chosen beforehand. */
describe('hosts with one JOIN', () => {
  let simulation: Simulation
  let hosts: readonly Host[]

  function begin(count: number, seed = 1): void {
    simulation = new Simulation({ seed, hosts: count, troubleMs: 0, faults: 0 })
    ;({ hosts } = simulation)
    for (const host of hosts) host.seeds = hosts.map(({ address }) => address)
  }
  afterEach(() => simulation.end())

  const clusters = (of: readonly Host[]): Set<string> =>
    new Set(of.map(({ process }) => process?.plugin?.consensus.status().clusterId ?? ''))

  /** Until these, and nobody else, are one cluster with all its voters. */
  async function settled(of: readonly Host[], ms = 120_000): Promise<void> {
    const one = { name: 'one', check: () => [...members.check(of), ...consensus.check(of)] }
    await simulation.until('one cluster', ms, [one])
  }

  it('found one cluster when all start at once', async () => {
    for (let seed = 1; seed <= 3; seed++) {
      if (seed > 1) simulation.end()
      begin(5, seed)
      for (const host of hosts) host.start()
      await settled(hosts)
    }
  })

  it('found it without the first when that never comes', async () => {
    begin(4)
    const [, ...others] = hosts
    for (const host of others) host.start()
    await settled(others)
  })

  it('take the first back when it lost its disk', async () => {
    begin(4)
    for (const host of hosts) host.start()
    await settled(hosts)
    const [first, ...others] = hosts
    const before = clusters(others)
    first!.reinstall(null)
    await simulation.advance(10_000)
    await settled(hosts)
    expect([...clusters(hosts)]).to.deep.equal([...before])
  })
})
