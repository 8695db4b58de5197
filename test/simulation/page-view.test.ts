/** What the page shows of whole plugins in virtual time. */
import { expect } from 'chai'
import { parseIpInCidr } from '../../src/net/cidr.ts'
import { parseMac } from '../../src/net/mac.ts'
import { type WholeHost, WholeHosts } from './support/whole-hosts.ts'

const gateway = parseIpInCidr('10.10.0.1/16')!

describe('the view of the page', () => {
  let world: WholeHosts

  beforeEach(() => {
    world = new WholeHosts()
  })
  afterEach(() => world.stop())

  async function run({ plugin }: WholeHost, n: number): Promise<void> {
    const pools = [{ addressSpace: 'null', pool: gateway.cidr, gateway }]
    const network = { networkId: 'blue', options: { overlay: 'blue' }, internal: false, pools }
    await world.done(plugin.network.createNetwork(network))
    const endpointId = String(n).repeat(64)
    const wish = {
      addresses: [parseIpInCidr(`10.10.0.${n + 1}/16`)!],
      mac: parseMac(`02:42:0a:0a:00:0${n + 1}`),
    }
    await world.done(plugin.network.createEndpoint({ networkId: 'blue', endpointId, ...wish }))
  }

  it('has the containers of all hosts, and keeps those of a dead one', async () => {
    const [a, b, c] = [await world.add(), await world.add(), await world.add()]
    for (const [index, host] of [a, b, c].entries()) await run(host, index + 1)
    await world.clock.advance(2000)
    const view = a.plugin.page.view()
    expect(view.hosts.map(({ name }) => name)).to.deep.equal(['host-1', 'host-2', 'host-3'])
    expect(view.here).to.equal(0)
    expect(view.networks.map(({ id }) => id)).to.deep.equal(['blue'])
    expect(view.networks[0]!.hosts).to.have.members([0, 1, 2])
    const shown = view.containers.map(({ host, network, ips }) => `${host} ${network} ${ips[0]}`)
    expect(shown).to.have.members(['0 0 10.10.0.2', '1 0 10.10.0.3', '2 0 10.10.0.4'])
    world.cut()
    await world.clock.advance(20_000)
    const cut = a.plugin.page.view()
    expect(cut.hosts.map(({ state }) => state)).to.deep.equal(['alive', 'dead', 'dead'])
    expect(cut.containers.map(({ host }) => host)).to.include.members([1, 2])
    expect(JSON.parse(JSON.stringify(cut))).to.deep.equal(cut)
    world.heal()
    await world.clock.advance(30_000)
  })

  it('is made once a second, and has what others say soon after it was first asked for', async () => {
    const [a, b] = [await world.add(), await world.add()]
    const versions = () => a.plugin.page.view().hosts.map(({ version }) => version)
    const first = a.plugin.page.view()
    expect(first.hosts[1]!.version).to.equal(null)
    expect(a.plugin.page.view()).to.equal(first)
    await world.clock.advance(1000)
    expect(a.plugin.page.view()).to.not.equal(first)
    expect(versions()).to.deep.equal([first.version, b.plugin.status().version])
  })

  it('is beside a measurement of how long records take to another member', async () => {
    const [a, b, c] = [await world.add(), await world.add(), await world.add()]
    const [fromA, fromB]: number[][] = [[], []]
    a.plugin.onPropagated((ms) => fromA!.push(ms))
    b.plugin.onPropagated((ms) => fromB!.push(ms))
    for (const [index, host] of [a, b, c].entries()) await run(host, index + 1)
    await world.clock.advance(3000)
    for (const measured of [fromA!, fromB!]) {
      expect(measured).to.have.length(1)
      expect(measured[0]).to.be.above(0).and.below(1000)
    }
  })
})
