/** Whole plugins whose gossip is for members only, joined by a token. */
import { expect } from 'chai'
import { parseIpInCidr } from '../../src/net/cidr.ts'
import type { SimulatedDisk } from './simulator/disk.ts'
import { type WholeHost, WholeHosts } from './support/whole-hosts.ts'

/** Of all hosts that have no other. */
const token = '0123456789abcdef0123456789abcdef'
const gateway = parseIpInCidr('10.10.0.1/16')!

describe('hosts of a closed cluster', () => {
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
  }

  it('join by the token, and know of each other’s containers', async () => {
    const hosts = [await world.add(), await world.add(), await world.add()]
    for (const [i, host] of hosts.entries()) await container(host, `e${i}`, `10.10.1.${i + 1}/16`)
    await world.clock.advance(3000)
    for (const { plugin, neighbours } of hosts) {
      expect(plugin.cluster.members().filter(({ state }) => state === 'alive')).to.have.length(3)
      expect(neighbours('blue')).to.have.length(2)
    }
    expect(hosts[0]!.plugin.status().consensus.leader).to.not.equal(null)
  })

  it('invite others to themselves, alone or not', async () => {
    const first = await world.add()
    await world.clock.advance(3000)
    const invited = (host: WholeHost) => world.done(host.plugin.admission.invite())
    expect(await invited(first)).to.match(/ JOIN=192\.0\.2\.1 TOKEN=TSO-1-/)
    const second = await world.add()
    await world.clock.advance(3000)
    expect(await invited(second)).to.include(' JOIN=192.0.2.2,192.0.2.1 TOKEN=')
  })

  it('keep a host out that has another token or none, and say so on both sides', async () => {
    const first = await world.add()
    const other = 'fedcba9876543210fedcba9876543210'
    const refused = await world.add({ token: other }).catch((error: Error) => error.message)
    expect(refused).to.match(/refuses this host: .*the cluster has no such token/)
    expect(first.lines.join('\n')).to.match(/refused to enrol: .*no such token/)
    const findings = first.plugin.status().findings.list
    expect(findings.map(({ code, subject }) => `${code} ${subject}`)).to.deep.equal([
      'HOST_REFUSED host 192.0.2.2',
    ])
    const without = await world.add({ token: null }).catch((error: Error) => error.message)
    expect(without).to.match(/JOIN needs TOKEN: on a member, "ts-overlay invite" prints/)
    await world.clock.advance(5000)
    expect(first.plugin.cluster.members()).to.have.length(1)
    expect(first.lines.join('\n')).to.not.match(new RegExp(`${token}|${other}`))
  })

  it('rotate their keys, and lose no member at any time', async () => {
    const hosts = [await world.add(), await world.add()]
    for (let second = 0; second < 15 * 60; second++) {
      await world.clock.advance(1000)
      for (const { plugin } of hosts) {
        const states = plugin.cluster.members().map(({ state }) => state)
        expect(states, `after ${second} s`).to.deep.equal(['alive', 'alive'])
      }
    }
    for (const { plugin, lines } of hosts) {
      expect(plugin.status().admission?.epoch).to.equal(2)
      expect(lines.filter((line) => line.startsWith('warn'))).to.deep.equal([])
    }
  }).timeout(60_000)

  it('show no secret in a line of the log, nor in /status', async () => {
    const hosts = [await world.add(), await world.add()]
    await world.clock.advance(60_000)
    const secrets = new Set([token, ...hosts.flatMap(({ disk }) => secretsOn(disk))])
    // The token, a key of each host, the authority's, a key of gossip.
    expect(secrets.size).to.be.at.least(5)
    for (const { lines, plugin } of hosts) {
      const shown = [...lines, JSON.stringify(plugin.status())].join('\n')
      for (const secret of secrets) expect(shown).to.not.contain(secret)
    }
  })
})

/** A line of each private key, and the keys of gossip, that are anywhere on a disk. */
function secretsOn(disk: SimulatedDisk): string[] {
  const text = [...disk.copy().values()]
    .map((bytes) => bytes.toString('latin1'))
    .join('\n')
    .replaceAll(/\\+n/g, '\n')
  const keys = text.matchAll(/BEGIN PRIVATE KEY-----\n([\w+/=]{40,})/g)
  const gossip = text.matchAll(/gossipKey\W+([0-9a-f]{32,64})/g)
  return [...keys, ...gossip].map(([, secret]) => secret!)
}
