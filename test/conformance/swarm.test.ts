/**
 * What swarm's leader and a node ask, as engines since 20.10 do it: the leader in the global address space, each
 * node in the local one, with the options that the leader was answered. Here both are one host.
 */
import { expect } from 'chai'
import { addressSpaces } from '../../src/net/pool-id.ts'
import { FakeEngine } from '../support/fake-engine.ts'
import { type LonePlugin, startLonePlugin } from '../support/lone-plugin.ts'
import { type ServerUnderTest, startServer } from '../support/plugin-server.ts'

const network = 'y6rz292ak19tg2jdnz2t36ue3'
const endpointId = '0fa3f61fbd90'.repeat(5)
const subnet = '10.93.0.0/24'

describe('the whole plugin, in a swarm,', () => {
  let subject: ServerUnderTest
  let lone: LonePlugin
  let engine: FakeEngine

  beforeEach(async () => {
    lone = await startLonePlugin(undefined, { scope: 'global' })
    const { handlers } = lone.plugin
    subject = await startServer({ introduction: { scope: 'global', addressSpaces }, handlers })
    engine = new FakeEngine({ socket: subject.managed, version: '28.5.2' })
  })
  afterEach(async () => {
    engine.close()
    await subject.dispose()
    await lone.plugin.stop()
    expect(subject.bugs).to.deep.equal([])
  })

  const call = (name: string, body: object) => engine.call(name, JSON.stringify(body))

  async function refused(name: string, body: object): Promise<string> {
    return call(name, body).then(
      (answer) => expect.fail(JSON.stringify(answer)),
      (error: Error) => error.message,
    )
  }

  function allocate(id: string, options: Record<string, string>, pool = subnet) {
    const data = { AddressSpace: '', Pool: pool, Gateway: pool.replace('0/24', '1/24') }
    const body = { NetworkID: id, Options: options, IPv4Data: [data], IPv6Data: null }
    return call('NetworkDriver.AllocateNetwork', body)
  }

  /** The leader's part: pool, gateway, network, and an address for a task. */
  async function lead(): Promise<{ options: Record<string, string>; task: string; pool: string }> {
    const serial = { 'com.docker.network.ipam.serial': 'true' }
    const { PoolID } = await call('IpamDriver.RequestPool', {
      AddressSpace: addressSpaces.global,
      Pool: subnet,
      SubPool: '',
      Options: {},
      V6: false,
    })
    const gateway = { RequestAddressType: 'com.docker.network.gateway', ...serial }
    await call('IpamDriver.RequestAddress', { PoolID, Address: '', Options: gateway })
    const { Options } = await allocate(network, {
      'com.docker.network.driver.mtu': '1400',
    })
    const { Address } = await call('IpamDriver.RequestAddress', {
      PoolID,
      Address: '',
      Options: serial,
    })
    return {
      options: Options as Record<string, string>,
      task: String(Address),
      pool: String(PoolID),
    }
  }

  it('is told of as global on the managed socket, and as local on the other, which swarm refuses', async () => {
    expect(await engine.call('NetworkDriver.GetCapabilities', null)).to.deep.equal({
      Scope: 'global',
      ConnectivityScope: 'global',
    })
    const legacy = new FakeEngine({ socket: subject.legacy, version: '28.5.2' })
    const { Scope } = await legacy.call('NetworkDriver.GetCapabilities', null)
    expect(Scope).to.equal('local')
    legacy.close()
  })

  it("runs a task on the leader itself: its network is the swarm's, with the leader's VNI and address", async () => {
    const { options, task, pool } = await lead()
    expect(options).to.have.all.keys('com.docker.network.driver.mtu', 'vni')
    const { PoolID } = await call('IpamDriver.RequestPool', {
      AddressSpace: addressSpaces.local,
      Pool: subnet,
      SubPool: '',
      Options: null,
      V6: false,
    })
    expect(PoolID).to.not.equal(pool)
    const gateway = { RequestAddressType: 'com.docker.network.gateway' }
    await call('IpamDriver.RequestAddress', { PoolID, Address: '10.93.0.1', Options: gateway })
    const created = {
      NetworkID: network,
      Options: {
        'com.docker.network.enable_ipv4': true,
        'com.docker.network.enable_ipv6': false,
        'com.docker.network.generic': options,
      },
      IPv4Data: [{ AddressSpace: addressSpaces.local, Pool: subnet, Gateway: '10.93.0.1/24' }],
      IPv6Data: [],
    }
    await call('NetworkDriver.CreateNetwork', created)
    // An engine that starts again creates the networks of swarm again.
    await call('NetworkDriver.CreateNetwork', created)
    const address = await call('IpamDriver.RequestAddress', {
      PoolID,
      Address: task.split('/')[0],
      Options: null,
    })
    expect(address['Address']).to.equal(task)
    const endpoint = { NetworkID: network, EndpointID: endpointId }
    await call('NetworkDriver.CreateEndpoint', {
      ...endpoint,
      Interface: { Address: task, AddressIPv6: '', MacAddress: '' },
      Options: {},
    })
    await call('NetworkDriver.Join', { ...endpoint, SandboxKey: '/x', Options: {} })
    const [overlay] = lone.plugin.status().overlays
    expect(overlay).to.include({ overlayId: network, vni: Number(options['vni']), mtu: 1400 })
    expect(overlay!.endpoints).to.have.length(1)

    await call('NetworkDriver.Leave', endpoint)
    await call('NetworkDriver.DeleteEndpoint', endpoint)
    for (const Address of [task.split('/')[0], '10.93.0.1'])
      await call('IpamDriver.ReleaseAddress', { PoolID, Address })
    await call('IpamDriver.ReleasePool', { PoolID })
    await call('NetworkDriver.DeleteNetwork', { NetworkID: network })
    expect(lone.plugin.status().overlays).to.deep.equal([])
    await call('NetworkDriver.FreeNetwork', { NetworkID: network })
    for (const Address of [task.split('/')[0], '10.93.0.1'])
      await call('IpamDriver.ReleaseAddress', { PoolID: pool, Address })
    await call('IpamDriver.ReleasePool', { PoolID: pool })
    expect(lone.plugin.ipam.bindings.heldPools()).to.deep.equal([])
  })

  it('gives two networks two VNIs, also before any node has made them, and one the same again', async () => {
    const first = await allocate(network, { vni: '7000' })
    expect(first['Options']).to.deep.equal({ vni: '7000' })
    const other = network.replace('y', 'z')
    const body = {
      NetworkID: other,
      Options: { vni: '7000' },
      IPv4Data: [{ AddressSpace: '', Pool: '10.94.0.0/24', Gateway: '10.94.0.1/24' }],
    }
    expect(await refused('NetworkDriver.AllocateNetwork', body)).to.match(
      new RegExp(`VNI 7000 for overlay "${other}" is in use by overlay "${network}"`),
    )
    const chosen = await allocate(other, {}, '10.94.0.0/24')
    expect(await allocate(other, {}, '10.94.0.0/24')).to.deep.equal(chosen)
    await call('NetworkDriver.FreeNetwork', { NetworkID: network })
    expect(await call('NetworkDriver.AllocateNetwork', body)).to.deep.include({
      Options: { vni: '7000' },
    })
  })

  it('refuses on the leader what a node would refuse', async () => {
    const body = { NetworkID: network, Options: { zz: '1' }, IPv4Data: null, IPv6Data: null }
    expect(await refused('NetworkDriver.AllocateNetwork', body)).to.match(/unknown option "zz"/)
  })

  it('takes news of nodes, and other kinds of news, for read', async () => {
    const data = { Address: '192.0.2.7', BindAddress: '192.0.2.7', Self: true }
    for (const name of ['DiscoverNew', 'DiscoverDelete']) {
      await call(`NetworkDriver.${name}`, { DiscoveryType: 1, DiscoveryData: data })
      await call(`NetworkDriver.${name}`, { DiscoveryType: 2, DiscoveryData: 'x' })
    }
  })
})
