import { createHash } from 'node:crypto'
import { expect } from 'chai'
import { addressSpaces } from '../../src/net/pool-id.ts'
import { EngineError, FakeEngine } from '../support/fake-engine.ts'
import { type LonePlugin, startLonePlugin } from '../support/lone-plugin.ts'
import { type ServerUnderTest, startServer } from '../support/plugin-server.ts'

function id(name: string): string {
  return createHash('sha256').update(name).digest('hex')
}

/** A pool as the engine knows it from an answer. */
interface Pool {
  readonly poolId: string
  readonly pool: string
  readonly gateway: string
}

describe('the whole plugin, asked for what cannot be,', () => {
  let subject: ServerUnderTest
  let lone: LonePlugin
  let engine: FakeEngine

  beforeEach(async () => {
    lone = await startLonePlugin()
    subject = await startServer({ introduction: { addressSpaces }, handlers: lone.plugin })
    engine = new FakeEngine({ socket: subject.managed, version: '28.5.2' })
  })
  afterEach(async () => {
    engine.close()
    await subject.dispose()
    await lone.plugin.stop()
    expect(subject.bugs).to.deep.equal([])
  })

  function call(name: string, body: object): Promise<Readonly<Record<string, unknown>>> {
    return engine.call(name, JSON.stringify(body))
  }

  /** All that a refused call must leave as it was. */
  async function state(): Promise<unknown> {
    const tables = ['networks', 'endpoints', 'ipam.pools', 'ipam.leases']
    const rows = tables.map((table) => [table, lone.store.entries(table)])
    return { rows, overlays: await lone.dataplane.overlays() }
  }

  /** The message of a call that must fail, with status 500, and change nothing. */
  async function refused(name: string, body: object): Promise<string> {
    const before = await state()
    const error = await call(name, body).then(
      (answer) => expect.fail(`${name} was answered: ${JSON.stringify(answer)}`),
      (reason: unknown) => reason,
    )
    expect(error).to.be.instanceOf(EngineError)
    expect((error as EngineError).status).to.equal(500)
    expect(await state()).to.deep.equal(before)
    return (error as EngineError).message
  }

  function poolBody(pool: string, more: object = {}): object {
    const space = addressSpaces.local
    return { AddressSpace: space, Pool: pool, SubPool: '', Options: {}, V6: false, ...more }
  }

  async function requestPool(pool: string, more: object = {}): Promise<Pool> {
    const answer = await call('IpamDriver.RequestPool', poolBody(pool, more))
    const poolId = String(answer['PoolID'])
    const { Address } = await call('IpamDriver.RequestAddress', {
      PoolID: poolId,
      Address: '',
      Options: { RequestAddressType: 'com.docker.network.gateway' },
    })
    return { poolId, pool: String(answer['Pool']), gateway: String(Address) }
  }

  function networkBody(name: string, pool: Pool, options: object = {}): object {
    return {
      NetworkID: id(name),
      Options: {
        'com.docker.network.enable_ipv4': true,
        'com.docker.network.enable_ipv6': false,
        'com.docker.network.generic': options,
      },
      IPv4Data: [{ AddressSpace: addressSpaces.local, Gateway: pool.gateway, Pool: pool.pool }],
      IPv6Data: [],
    }
  }

  async function createNetwork(name: string, subnet: string, options: object = {}): Promise<Pool> {
    const pool = await requestPool(subnet)
    await call('NetworkDriver.CreateNetwork', networkBody(name, pool, options))
    return pool
  }

  async function requestAddress(pool: Pool, address = ''): Promise<string> {
    const body = { PoolID: pool.poolId, Address: address, Options: null }
    return String((await call('IpamDriver.RequestAddress', body))['Address'])
  }

  function endpointBody(network: string, endpoint: string, address: string): object {
    return {
      NetworkID: id(network),
      EndpointID: id(endpoint),
      Interface: { Address: address, AddressIPv6: '', MacAddress: '' },
      Options: {},
    }
  }

  function ends(network: string, endpoint: string): object {
    return { NetworkID: id(network), EndpointID: id(endpoint) }
  }

  function joinBody(network: string, endpoint: string): object {
    return { ...ends(network, endpoint), SandboxKey: '/var/run/docker/netns/0fa3f61fbd90' }
  }

  it('lists the options that it knows, when one is unknown', async () => {
    const pool = await requestPool('10.99.0.0/24')
    // As it was recorded: docker network create -o foo=bar.
    const message = await refused(
      'NetworkDriver.CreateNetwork',
      networkBody('n', pool, { foo: 'bar' }),
    )
    expect(message)
      .to.match(/foo/)
      .and.match(/vni/)
      .and.match(/com\.docker\.network\.driver\.mtu/)
  })

  it('says which option has a bad value', async () => {
    const pool = await requestPool('10.99.0.0/24')
    for (const [key, value] of [
      ['vni', '0'],
      ['vni', '16777216'],
      ['com.docker.network.driver.mtu', '1400x'],
      ['overlay', 'a b'],
    ] as const) {
      const body = networkBody('n', pool, { [key]: value })
      expect(await refused('NetworkDriver.CreateNetwork', body))
        .to.include(key)
        .and.include(value)
    }
  })

  it('names a network that it does not know, and what to do', async () => {
    const body = endpointBody('nobody', 'e', '10.99.0.2/24')
    for (const [name, args] of [
      ['NetworkDriver.CreateEndpoint', body],
      ['NetworkDriver.Join', joinBody('nobody', 'e')],
    ] as const)
      expect(await refused(name, args))
        .to.include(id('nobody').slice(0, 12))
        .and.match(/again/)
  })

  it('names an endpoint that it does not know', async () => {
    await createNetwork('n', '10.99.0.0/24')
    const message = await refused('NetworkDriver.Join', joinBody('n', 'nobody'))
    expect(message).to.include(id('nobody').slice(0, 12)).and.match(/again/)
  })

  it('takes the removal of what it does not know for done', async () => {
    const before = await state()
    for (const method of ['Leave', 'DeleteEndpoint', 'EndpointOperInfo'])
      await call(`NetworkDriver.${method}`, ends('nobody', 'e'))
    await call('NetworkDriver.DeleteNetwork', { NetworkID: id('nobody') })
    await call('NetworkDriver.FreeNetwork', { NetworkID: id('nobody') })
    const pool = await requestPool('10.99.0.0/24')
    await call('IpamDriver.ReleaseAddress', { PoolID: pool.poolId, Address: '10.99.0.77' })
    await call('IpamDriver.ReleasePool', { PoolID: pool.poolId })
    for (let turn = 0; turn < 2; turn++) {
      await call('IpamDriver.ReleaseAddress', { PoolID: pool.poolId, Address: '10.99.0.1' })
      await call('IpamDriver.ReleasePool', { PoolID: pool.poolId })
    }
    expect(await state()).to.deep.equal(before)
  })

  it('refuses a pool that overlaps one it has', async () => {
    await createNetwork('n', '10.99.0.0/24')
    for (const pool of ['10.99.0.0/16', '10.99.0.128/25'])
      expect(await refused('IpamDriver.RequestPool', poolBody(pool)))
        .to.include('10.99.0.0/24')
        .and.include(pool)
  })

  it('refuses a second network with the same pool, and takes it for an overlay of its own', async () => {
    await createNetwork('n', '10.99.0.0/24')
    const message = await refused('IpamDriver.RequestPool', poolBody('10.99.0.0/24'))
    expect(message)
      .to.include('10.99.0.0/24')
      .and.match(/overlay=/)
    const other = await requestPool('10.99.0.0/24', { Options: { overlay: 'other' } })
    const options = { overlay: 'other' }
    await call('NetworkDriver.CreateNetwork', networkBody('m', other, options))
    expect(lone.plugin.network.networksWithEndpoints()).to.have.length(2)
  })

  it('refuses an --ip-range outside of its --subnet', async () => {
    const body = poolBody('10.99.0.0/24', { SubPool: '10.98.0.0/25' })
    expect(await refused('IpamDriver.RequestPool', body)).to.include('10.98.0.0/25')
  })

  it('gives a different pool each time, when none is asked for', async () => {
    const pools = new Set<string>()
    for (let n = 0; n < 20; n++) pools.add((await requestPool('')).pool)
    expect(pools.size).to.equal(20)
    for (const pool of pools) expect(pool).to.match(/^10\.\d+\.\d+\.0\/24$/)
  })

  it('names the overlay that has a VNI', async () => {
    await createNetwork('n', '10.99.0.0/24', { vni: '5000' })
    const pool = await requestPool('10.98.0.0/24')
    const body = networkBody('m', pool, { vni: '5000' })
    expect(await refused('NetworkDriver.CreateNetwork', body))
      .to.include('5000')
      .and.include('10.99.0.0/24')
      .and.include('10.98.0.0/24')
  })

  it('says so when a pool is full', async () => {
    const pool = await createNetwork('n', '10.99.0.0/30')
    await requestAddress(pool)
    const body = { PoolID: pool.poolId, Address: '', Options: null }
    expect(await refused('IpamDriver.RequestAddress', body)).to.include('10.99.0.0/30')
  })

  it('refuses an address outside of the pool, or of a pool that it does not have', async () => {
    const pool = await createNetwork('n', '10.99.0.0/24')
    const outside = { PoolID: pool.poolId, Address: '10.98.0.7', Options: null }
    expect(await refused('IpamDriver.RequestAddress', outside)).to.include('10.98.0.7')
    for (const PoolID of ['nonsense', `${pool.poolId}x`])
      expect(await refused('IpamDriver.RequestAddress', { PoolID, Address: '' })).to.include(PoolID)
  })

  it('refuses an address that another endpoint has, by its own books and by others', async () => {
    const pool = await createNetwork('n', '10.99.0.0/24')
    const address = await requestAddress(pool, '10.99.0.77')
    await call('NetworkDriver.CreateEndpoint', endpointBody('n', 'e', address))
    const again = { PoolID: pool.poolId, Address: '10.99.0.77', Options: null }
    expect(await refused('IpamDriver.RequestAddress', again)).to.include('10.99.0.77')
    const message = await refused('NetworkDriver.CreateEndpoint', endpointBody('n', 'f', address))
    expect(message).to.include('10.99.0.77').and.include(id('e').slice(0, 12))
  })

  it('refuses a MAC address of a group, and an endpoint without an address', async () => {
    const pool = await createNetwork('n', '10.99.0.0/24')
    const address = await requestAddress(pool)
    const group = { Address: address, AddressIPv6: '', MacAddress: '01:00:5e:00:00:01' }
    const body = { ...endpointBody('n', 'e', address), Interface: group }
    expect(await refused('NetworkDriver.CreateEndpoint', body)).to.include('01:00:5e:00:00:01')
    expect(await refused('NetworkDriver.CreateEndpoint', endpointBody('n', 'e', ''))).to.match(
      /no address/,
    )
  })

  it('takes every call that comes twice for the same one', async () => {
    const pool = await requestPool('10.99.0.0/24')
    const twice = async (name: string, body: object): Promise<void> => {
      const answers = [await call(name, body), await call(name, body)]
      expect(answers[1], name).to.deep.equal(answers[0])
    }
    await twice('NetworkDriver.CreateNetwork', networkBody('n', pool))
    const address = await requestAddress(pool)
    await twice('NetworkDriver.CreateEndpoint', endpointBody('n', 'e', address))
    await twice('NetworkDriver.Join', joinBody('n', 'e'))
    await twice('NetworkDriver.Leave', ends('n', 'e'))
    await twice('NetworkDriver.DeleteEndpoint', ends('n', 'e'))
    await twice('NetworkDriver.DeleteNetwork', { NetworkID: id('n') })
    expect(lone.plugin.network.networksWithEndpoints()).to.deep.equal([])
  })

  it('answers calls side by side, each network in its own order', async () => {
    const pools = await Promise.all(
      Array.from({ length: 8 }, (_, n) => createNetwork(`n${n}`, `10.${90 + n}.0.0/24`)),
    )
    const run = async (n: number, pool: Pool): Promise<string> => {
      const address = await requestAddress(pool)
      const [network, endpoint] = [`n${n % 8}`, `e${n}`]
      await call('NetworkDriver.CreateEndpoint', endpointBody(network, endpoint, address))
      await call('NetworkDriver.Join', joinBody(network, endpoint))
      return address
    }
    const addresses = await Promise.all(Array.from({ length: 80 }, (_, n) => run(n, pools[n % 8]!)))
    expect(new Set(addresses).size).to.equal(80)
  })
})
