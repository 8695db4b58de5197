import { expect } from 'chai'
import { type Cidr, cidrOf, ipAt, parseCidr } from '../../../src/net/cidr.ts'
import { HostPrefixes } from '../../../src/networks/host-prefixes.ts'
import type { EngineNetwork, NetworksCluster } from '../../../src/networks/ports.ts'

function engineNetwork(Id: string, subnet: string, Driver: string, Scope = 'local'): EngineNetwork {
  const Config = [{ Subnet: subnet, IPRange: '', Gateway: '', AuxiliaryAddresses: {} }]
  const flags = { Internal: false, Attachable: false, EnableIPv4: true, EnableIPv6: false }
  const others = { Name: Id, Options: {}, Labels: {}, Ingress: false, ConfigOnly: false }
  return { ...flags, ...others, Id, Driver: 'any', Scope, IPAM: { Driver, Options: {}, Config } }
}

describe('the prefixes of a host', () => {
  let published: Set<Cidr>
  let routes: readonly Cidr[]
  let prefixes: HostPrefixes

  beforeEach(() => {
    published = new Set()
    routes = []
    const cluster: Pick<NetworksCluster, 'self' | 'prefixes' | 'putPrefix' | 'withdrawPrefix'> = {
      self: 'here',
      *prefixes() {
        yield { member: 'other', prefix: parseCidr('10.9.0.0/16')! }
        for (const prefix of published) yield { member: 'here', prefix }
      },
      putPrefix: (prefix) => void published.add(prefix),
      withdrawPrefix: (prefix) => void published.delete(prefix),
    }
    prefixes = new HostPrefixes(cluster as NetworksCluster, async () => routes)
  })

  it("are its routes, and subnets of its engine's own, but for those of the cluster", async () => {
    routes = [parseCidr('192.0.2.0/24')!]
    const engines = { pools: [], gateways: [] }
    const copied = { networkId: 'copied', overlayId: 'o', isAutomatic: false, isOurIpam: false }
    const networks = [
      engineNetwork('bridge', '172.17.0.0/16', 'default'),
      engineNetwork('ours', '10.1.0.0/16', 'ts-overlay'),
      engineNetwork('swarm', '10.2.0.0/16', 'default', 'swarm'),
      engineNetwork('copied', '172.19.0.0/16', 'default'),
    ]
    await prefixes.publish(networks, new Map([['copied', { ...copied, engines }]]))
    expect([...published]).to.have.members(['192.0.2.0/24', '172.17.0.0/16'])
    routes = []
    await prefixes.publish([], new Map())
    expect([...published]).to.deep.equal([])
  })

  it('are a bounded number, the largest', async () => {
    const all = parseCidr('10.0.0.0/8')!
    routes = [...Array.from({ length: 400 }, (_, n) => cidrOf(ipAt(all, BigInt(n)), 32)), all]
    await prefixes.publish([], new Map())
    expect(published.size).to.equal(256)
    expect([...published]).to.include(all)
  })
})
