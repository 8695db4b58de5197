/** Whole plugins that find out about each other what cannot both be. */
import { expect } from 'chai'
import { parseIpInCidr } from '../../src/net/cidr.ts'
import { parseMac } from '../../src/net/mac.ts'
import { type WholeHost, WholeHosts } from './support/whole-hosts.ts'

const gateway = parseIpInCidr('10.10.0.1/16')!
const mac = parseMac('02:aa:00:00:00:01')!

describe('hosts of one overlay', () => {
  let world: WholeHosts

  beforeEach(() => {
    world = new WholeHosts()
  })
  afterEach(() => world.stop())

  function createNetwork({ plugin }: WholeHost, more: Record<string, string> = {}): Promise<void> {
    const pools = [{ addressSpace: 'null', pool: gateway.cidr, gateway }]
    const options = { overlay: 'blue', ...more }
    return world.done(
      plugin.network.createNetwork({ networkId: 'n1', options, internal: false, pools }),
    )
  }

  async function run({ plugin }: WholeHost, endpointId: string, address: string): Promise<void> {
    const addresses = [parseIpInCidr(address)!]
    const created = plugin.network.createEndpoint({ networkId: 'n1', endpointId, addresses, mac })
    await world.done(created)
    await world.done(plugin.network.join({ networkId: 'n1', endpointId }))
  }

  it('with different MTUs say so in log and status, each of the other', async () => {
    const large = await world.add()
    await createNetwork(large, { 'com.docker.network.driver.mtu': '1450' })
    const small = await world.add({ underlayMtu: 1400 })
    await createNetwork(small)
    await world.clock.advance(3000)
    for (const [host, other, here, there] of [
      [large, small, 1450, 1350],
      [small, large, 1350, 1450],
    ] as const) {
      const { disagreements, problems } = host.plugin.status()
      expect(disagreements.list).to.have.length(1)
      expect(disagreements.list[0]).to.include({ kind: 'mtu', member: other.name })
      const text = `MTU ${here} here, ${there} on member ${other.name}`
      expect(problems.filter(({ message }) => message.includes(text))).to.have.length(1)
    }
  })

  it('with different VXLAN ports say so, each of the other', async () => {
    const [a, b] = [await world.add(), await world.add({ vxlanPort: 4790 })]
    for (const host of [a, b]) await createNetwork(host)
    await world.clock.advance(3000)
    for (const [host, other, here, there] of [
      [a, b, '4789', '4790'],
      [b, a, '4790', '4789'],
    ] as const) {
      const { list } = host.plugin.status().disagreements
      expect(list).to.have.length(1)
      expect(list[0]).to.include({ kind: 'port', member: other.name, here, there })
      expect(list[0]!.message).to.include('VXLAN_PORT')
    }
  })

  it('never give one MAC address twice, and report it on both sides when a cut made that happen', async () => {
    const [a, b] = [await world.add(), await world.add()]
    for (const host of [a, b]) await createNetwork(host)
    await run(a, 'aaaa000000000000', '10.10.0.2/16')
    await world.clock.advance(1000)
    const refused = await run(b, 'bbbb000000000000', '10.10.0.3/16').then(
      () => 'not refused',
      (error: Error) => error.message,
    )
    expect(refused).to.match(/MAC address 02:aa.* on member host-1 \(192\.0\.2\.1\)/)

    world.cut()
    await world.clock.advance(10_000)
    await run(b, 'bbbb000000000000', '10.10.0.3/16')
    world.heal()
    await world.clock.advance(30_000)
    for (const [host, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const { list } = host.plugin.status().disagreements
      expect(list.map(({ kind, member }) => [kind, member])).to.deep.equal([['mac', other.name]])
      expect(host.lines.filter((line) => line.includes(`${mac} is that of`))).to.have.length(1)
    }
    await world.done(b.plugin.network.leave('n1', 'bbbb000000000000'))
    await world.clock.advance(3000)
    for (const { plugin } of [a, b]) expect(plugin.status().disagreements.count).to.equal(0)
  })
})
