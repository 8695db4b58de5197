/** Whole plugins on hosts whose address changes, and on copies of a host's disk. */
import { expect } from 'chai'
import { parseIpInCidr } from '../../src/net/cidr.ts'
import { parseIp } from '../../src/net/ip.ts'
import { type WholeHost, WholeHosts, addressOf } from './support/whole-hosts.ts'

const gateway = parseIpInCidr('10.10.0.1/16')!
/** Seconds that packets may be lost where the new address is seen at once, without the restart of the process. */
const maxAwayMs = 5000
const moved = parseIp('192.0.2.77')!

describe('hosts that move', () => {
  let world: WholeHosts

  beforeEach(() => {
    world = new WholeHosts()
  })
  afterEach(() => world.stop())

  async function container(host: WholeHost, endpointId: string, address: string): Promise<void> {
    const { network } = host.plugin
    const pools = [{ addressSpace: 'null', pool: gateway.cidr, gateway }]
    const options = { overlay: 'blue' }
    await world.done(network.createNetwork({ networkId: 'n1', options, internal: false, pools }))
    const addresses = [parseIpInCidr(address)!]
    await world.done(network.createEndpoint({ networkId: 'n1', endpointId, addresses, mac: null }))
    await world.done(network.join({ networkId: 'n1', endpointId }))
    host.kernel.take(endpointId)
  }

  async function hostsWithContainers(count: number): Promise<WholeHost[]> {
    const hosts: WholeHost[] = []
    for (let i = 1; i <= count; i++) hosts.push(await world.add())
    for (const [i, host] of hosts.entries()) await container(host, `e${i}`, `10.10.1.${i + 1}/16`)
    await world.clock.advance(3000)
    return hosts
  }

  /** Nothing answers at that host's first address, and packets to it are lost without a word. */
  function goneFrom(host: number): void {
    const gone = `${addressOf(host)}:7946`
    world.network.passes = (from, to) => from !== gone && to !== gone
  }

  function vteps(host: WholeHost): string[] {
    const fdb = host.kernel.tables.overlay('blue')?.fdb.values() ?? []
    return [...fdb].flat().toSorted()
  }

  function addressAt(host: WholeHost, name: string): string {
    const found = host.plugin.cluster.members().find((member) => member.name === name)
    return `${found?.address} ${found?.state}`
  }

  for (const [count, mover] of [
    [2, 2],
    [2, 1],
    [3, 2],
    [7, 7],
  ] as const)
    it(`are followed by all: of ${count}, host ${mover}`, async () => {
      const hosts = await hostsWithContainers(count)
      const host = hosts[mover - 1]!
      const others = hosts.filter((other) => other !== host)
      goneFrom(mover)
      await world.done(host.restart(moved))
      const since = world.clock.now()
      const isFollowed = (): boolean =>
        others.every((other) => addressAt(other, host.name) === `${moved} alive`) &&
        others.every((other) => vteps(other).includes(moved))
      await world.clock.advanceUntil(isFollowed, 60_000)
      expect(world.clock.now() - since).to.be.below(maxAwayMs)
      await world.clock.advance(60_000)
      for (const other of others) {
        expect(addressAt(other, host.name)).to.equal(`${moved} alive`)
        expect(vteps(other)).to.not.include(addressOf(mover))
        expect(addressAt(host, other.name)).to.match(/ alive$/)
      }
      for (const { plugin } of hosts) {
        expect(plugin.status().findings.list).to.deep.equal([])
        expect(plugin.status().consensus.leader).to.not.equal(null)
      }
      expect(host.plugin.status().admission).to.not.equal(null)
      const lines = others.map((other) => other.lines.join('\n'))
      for (const text of lines) {
        expect(text).to.match(/has moved from 192\.0\.2\.\d to 192\.0\.2\.77/)
        expect(text).to.not.match(/MEMBER_NAME/)
      }
    }).timeout(120_000)

  it('are kept out as copies while the original answers, which loses nothing', async () => {
    const hosts = await hostsWithContainers(3)
    for (const original of [hosts[0]!, hosts[2]!]) {
      const before = hosts.map(vteps)
      const copy = await world.add({ name: original.name, disk: original.disk.copy() })
      world.hosts.pop()
      await world.clock.advance(60_000)
      const finding = copy.plugin.status().findings.list.map(({ code, text }) => `${code} ${text}`)
      expect(finding.join()).to.match(
        /^HOST_NOT_ADMITTED .*the host at 192\.0\.2\.\d has its name and key, and answers/,
      )
      expect(original.plugin.status().findings.list[0]?.text).to.match(
        new RegExp(`${original.name}: the host at .* its disk is a copy of that one's`),
      )
      expect(copy.plugin.cluster.members().filter(({ self }) => !self)).to.deep.equal([])
      expect(copy.plugin.consensus.isLeader() && copy.plugin.admission.isMember).to.equal(false)
      expect(hosts.map(vteps)).to.deep.equal(before)
      for (const { plugin, lines } of hosts) {
        const alive = plugin.cluster.members().filter(({ state }) => state === 'alive')
        expect(alive).to.have.length(3)
        expect(lines.join('\n')).to.not.match(/moved|does not answer any more/)
      }
      await world.done(copy.plugin.stop())
    }
  }).timeout(120_000)

  it('go on as copies of a host that is gone, which is then kept out itself', async () => {
    const hosts = await hostsWithContainers(3)
    const original = hosts[2]!
    const disk = original.disk.copy()
    await original.power(false)
    const copy = await world.add({ name: original.name, disk })
    await world.clock.advance(10_000)
    const place = `${addressOf(4)} alive`
    expect(addressAt(hosts[0]!, original.name)).to.equal(place)
    await original.power(true)
    await world.clock.advance(60_000)
    for (const host of hosts.slice(0, 2)) expect(addressAt(host, original.name)).to.equal(place)
    expect(copy.plugin.status().admission).to.not.equal(null)
  }).timeout(120_000)
})
