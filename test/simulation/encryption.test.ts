/** Whole plugins with encrypted overlays. */
import { expect } from 'chai'
import { parseIpInCidr } from '../../src/net/cidr.ts'
import { type WholeHost, WholeHosts } from './support/whole-hosts.ts'

const gateway = parseIpInCidr('10.10.0.1/16')!

describe('hosts of an encrypted overlay', () => {
  let world: WholeHosts

  beforeEach(() => {
    world = new WholeHosts()
  })
  afterEach(() => world.stop())

  function create({ plugin }: WholeHost, overlay: string, encrypted = ''): Promise<void> {
    const pools = [{ addressSpace: 'null', pool: gateway.cidr, gateway }]
    const options = { overlay, encrypted }
    const network = { networkId: `network-${overlay}`, options, internal: false, pools }
    return world.done(plugin.network.createNetwork(network))
  }

  it('are peers of each other while they share it, and no others are', async () => {
    const [a, b, c] = [await world.add(), await world.add(), await world.add()]
    await create(a, 'blue')
    await create(b, 'red')
    await create(c, 'plain', 'false')
    await world.clock.advance(2000)
    expect(await a.encryptedPeers()).to.deep.equal([])
    expect(await c.encryptedPeers()).to.equal(null)
    await create(b, 'blue')
    await world.clock.advance(2000)
    expect(await a.encryptedPeers()).to.deep.equal(['192.0.2.2/32'])
    expect(await b.encryptedPeers()).to.deep.equal(['192.0.2.1/32'])
    await world.done(b.plugin.network.deleteNetwork('network-blue'))
    await world.clock.advance(2000)
    expect(await a.encryptedPeers()).to.deep.equal([])
    expect(await b.encryptedPeers()).to.deep.equal([])
    await world.done(b.plugin.network.deleteNetwork('network-red'))
    await world.clock.advance(2000)
    expect(await b.encryptedPeers()).to.equal(null)
  })

  it('drop a host that dies, and take it again', async () => {
    const [a, b] = [await world.add(), await world.add()]
    for (const host of [a, b]) await create(host, 'blue')
    await world.clock.advance(2000)
    world.cut()
    await world.clock.advance(15_000)
    expect(await a.encryptedPeers()).to.deep.equal([])
    world.heal()
    await world.clock.advance(30_000)
    expect(await a.encryptedPeers()).to.deep.equal(['192.0.2.2/32'])
  })

  it('share a preshared key, and another one after the gossip key was rotated', async () => {
    const [a, b] = [await world.add(), await world.add()]
    for (const host of [a, b]) await create(host, 'blue')
    await world.clock.advance(2000)
    const [before] = await a.presharedKeys()
    expect(before).to.be.a('string')
    expect(await b.presharedKeys()).to.deep.equal([before])
    await world.done(a.plugin.admission.rotateKeys())
    await world.clock.advance(10 * 60_000)
    const [after] = await a.presharedKeys()
    expect(after).to.be.a('string').and.not.equal(before)
    expect(await b.presharedKeys()).to.deep.equal([after])
  })

  it('agree that it is encrypted, also when both create it at once', async () => {
    const [a, b] = [await world.add(), await world.add()]
    const outcomes = await Promise.allSettled([create(a, 'blue'), create(b, 'blue', 'false')])
    const refused = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [(outcome.reason as Error).message] : [],
    )
    expect(refused).to.have.length(1)
    expect(refused[0]).to.match(/overlay "blue" on member host-[12] is (not )?encrypted/)
  })
})
