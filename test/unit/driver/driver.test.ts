import { expect } from 'chai'
import { Driver } from '../../../src/driver/driver.ts'
import { parseIpInCidr } from '../../../src/net/cidr.ts'
import type { Peer } from '../../../src/net/endpoint.ts'
import { parseIp } from '../../../src/net/ip.ts'
import { parseMac } from '../../../src/net/mac.ts'
import type { Vni } from '../../../src/net/vni.ts'
import { createDriverWorld, driverPartsOf } from '../../support/fake-driver-parts.ts'

const pool = parseIpInCidr('10.10.0.1/16')!

function network(networkId: string, options: Record<string, string> = {}, addressSpace = 'ours') {
  const pools = [{ addressSpace, pool: pool.cidr, gateway: pool }]
  return { networkId, options, internal: false, pools }
}

function endpoint(networkId: string, endpointId: string, address = '10.10.0.2/16') {
  return { networkId, endpointId, addresses: [parseIpInCidr(address)!], mac: null }
}

async function refusedWith(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'not refused',
    (error: Error) => error.message,
  )
}

describe('driver', () => {
  it('tells the story of an endpoint and leaves nothing behind', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1'))
    expect(world.kernel.size).to.equal(0)
    expect(world.bound.get('10.10.0.0/16')).to.equal('n1')
    expect(await driver.createEndpoint(endpoint('n1', 'e1'))).to.deep.equal({
      mac: '02:42:0a:0a:00:02',
    })
    expect(await driver.join({ networkId: 'n1', endpointId: 'e1' })).to.deep.equal({
      sourceName: 'tso-e1',
      prefix: 'eth',
      routes: [],
    })
    expect(world.kernel.get('10.10.0.0/16')?.links).to.include({ mtu: 1450, port: 4789 })
    expect(world.kernel.get('10.10.0.0/16')?.links.gateways).to.deep.equal(['10.10.0.1/16'])
    expect(world.published.endpoints.get('e1')?.ips).to.deep.equal(['10.10.0.2'])
    await driver.leave('n1', 'e1')
    expect(world.published.endpoints.size).to.equal(0)
    await driver.deleteEndpoint('n1', 'e1')
    expect(world.kernel.get('10.10.0.0/16')?.endpoints.size).to.equal(0)
    await world.clock.advance(1000)
    expect(world.kernel.size).to.equal(0)
    // The engine releases the pool first.
    world.pools.clear()
    await driver.deleteNetwork('n1')
    expect(world.kernel.size + world.published.overlays.size + world.bound.size).to.equal(0)
    for (const [table, rows] of world.disk) expect(rows.size, table).to.equal(0)
  })

  it('has the link called what its user wants, also after a restart', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1'))
    const named = (name: string) => ({
      ...endpoint('n1', 'e1'),
      options: { 'com.docker.network.endpoint.ifname': name },
    })
    for (const name of ['', '0web', 'a/b', 'a b', 'x'.repeat(13)])
      expect(await refusedWith(driver.createEndpoint(named(name))), name).to.include('ifname')
    await driver.createEndpoint(named('web0'))
    const after = new Driver(driverPartsOf(world))
    const joined = await after.join({ networkId: 'n1', endpointId: 'e1' })
    expect(joined.prefix).to.equal('web')
  })

  it('answers every call a second time as the first, and teardown of the unknown as done', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    for (let twice = 0; twice < 2; twice++) {
      await driver.createNetwork(network('n1'))
      await driver.createEndpoint(endpoint('n1', 'e1'))
      await driver.join({ networkId: 'n1', endpointId: 'e1' })
    }
    expect(world.kernel.get('10.10.0.0/16')?.endpoints.size).to.equal(1)
    for (let twice = 0; twice < 2; twice++) {
      await driver.leave('n1', 'e1')
      await driver.deleteEndpoint('n1', 'e1')
    }
    await driver.leave('n9', 'e9')
    await driver.deleteEndpoint('n9', 'e9')
    await driver.deleteNetwork('n1')
    await driver.deleteNetwork('n1')
    expect(world.kernel.size).to.equal(0)
  })

  it('refuses a second network for the same overlay on one host, and other options under one id', async () => {
    const driver = new Driver(driverPartsOf(createDriverWorld()))
    await driver.createNetwork(network('n1'))
    expect(await refusedWith(driver.createNetwork(network('n2')))).to.match(
      /network n1 on this host already attaches to overlay "10\.10\.0\.0\/16".*-o overlay=NAME/,
    )
    expect(await refusedWith(driver.createNetwork(network('n1', { vni: '7' })))).to.match(
      /network n1 exists with other options/,
    )
    await driver.createNetwork(network('n2', { overlay: 'blue' }))
  })

  it("takes the overlay's name or its pool for the overlay, and refuses other pools without a name", async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1', { overlay: 'blue' }))
    await driver.createNetwork(network('n2'))
    expect(await refusedWith(driver.createNetwork(network('n3', {}, 'others')))).to.contain(
      'docker network create -d ts-overlay --ipam-driver ts-overlay NAME',
    )
    expect([...world.published.overlays.keys()]).to.deep.equal(['blue', '10.10.0.0/16'])
  })

  it('refuses an address that another member has, names it, and changes nothing', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1', { vni: '7000', overlay: 'blue' }, 'LocalDefault'))
    const peer: Peer = {
      vni: 7000 as Vni,
      ips: [parseIp('10.10.0.2')!],
      mac: parseMac('02:42:0a:0a:00:02')!,
      origin: 'host-b',
      endpointId: 'feed',
      vtep: parseIp('192.0.2.2')!,
      claimedAt: 1,
      live: true,
    }
    world.peers.set('7000 10.10.0.2', peer)
    expect(await refusedWith(driver.createEndpoint(endpoint('n1', 'e1')))).to.match(
      /10\.10\.0\.2 on overlay "blue" is in use on member host-b \(192\.0\.2\.2\) by endpoint feed/,
    )
    expect(world.published.endpoints.size + (world.disk.get('endpoints')?.size ?? 0)).to.equal(0)
    world.peers.set('7000 10.10.0.2', { ...peer, live: false })
    await driver.createEndpoint(endpoint('n1', 'e1'))
  })

  it('lets only the earlier of two hosts join that took the same address at the same time', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1', { vni: '7000' }))
    await driver.createEndpoint(endpoint('n1', 'e1'))
    const now = Math.floor(world.clock.wall() / 1000)
    const other = (claimedAt: number, origin: string) =>
      world.peers.set('7000 10.10.0.2', {
        vni: 7000 as Vni,
        ips: [parseIp('10.10.0.2')!],
        mac: parseMac('02:42:0a:0a:00:02')!,
        origin,
        endpointId: 'feed',
        vtep: parseIp('192.0.2.2')!,
        claimedAt,
        live: true,
      })
    other(now - 1, 'there')
    expect(await refusedWith(driver.join({ networkId: 'n1', endpointId: 'e1' }))).to.match(/in use/)
    other(now, 'a-lesser-name')
    expect(await refusedWith(driver.join({ networkId: 'n1', endpointId: 'e1' }))).to.match(/in use/)
    other(now, 'there')
    await driver.join({ networkId: 'n1', endpointId: 'e1' })
  })

  it('refuses the same address twice on one host', async () => {
    const driver = new Driver(driverPartsOf(createDriverWorld()))
    await driver.createNetwork(network('n1'))
    await driver.createEndpoint(endpoint('n1', 'e1'))
    expect(await refusedWith(driver.createEndpoint(endpoint('n1', 'e2')))).to.match(
      /10\.10\.0\.2 is in use on this host by endpoint e1/,
    )
  })

  it('says what to do about an unknown network, an unknown endpoint and a missing address', async () => {
    const driver = new Driver(driverPartsOf(createDriverWorld()))
    expect(await refusedWith(driver.createEndpoint(endpoint('n1', 'e1')))).to.match(
      /network n1 is not known .* create it again/,
    )
    await driver.createNetwork(network('n1'))
    expect(await refusedWith(driver.join({ networkId: 'n1', endpointId: 'e1' }))).to.match(
      /endpoint e1 of network n1 is not known/,
    )
    const bare = { ...endpoint('n1', 'e1'), addresses: [] }
    expect(await refusedWith(driver.createEndpoint(bare))).to.match(/no address.*--ipam-driver/)
    const group = { ...endpoint('n1', 'e1'), mac: parseMac('01:00:5e:00:00:01') }
    expect(await refusedWith(driver.createEndpoint(group))).to.match(/group address/)
  })

  it('refuses the gateway and the zero MAC for an endpoint', async () => {
    const driver = new Driver(driverPartsOf(createDriverWorld()))
    await driver.createNetwork(network('n1'))
    expect(await refusedWith(driver.createEndpoint(endpoint('n1', 'e1', '10.10.0.1/16')))).to.match(
      /10\.10\.0\.1 is the gateway of network n1/,
    )
    const zero = { ...endpoint('n1', 'e1'), mac: parseMac('00:00:00:00:00:00') }
    expect(await refusedWith(driver.createEndpoint(zero))).to.match(/stands for no address/)
  })

  it('forgets a network that the engine has deleted, also when its links will not go', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1'))
    world.failNext = 'detachOverlay'
    await driver.deleteNetwork('n1')
    await driver.createNetwork(network('n2'))
    expect(world.published.overlays.size).to.equal(1)
  })

  it('leaves nothing of a network that cannot be written down', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    world.failNext = 'write'
    expect(await refusedWith(driver.createNetwork(network('n1')))).to.match(/write failed/)
    expect(world.published.overlays.size).to.equal(0)
    await driver.createNetwork(network('n1'))
  })

  it('takes a network of any name that the engine may give', async () => {
    const driver = new Driver(driverPartsOf(createDriverWorld()))
    await driver.createNetwork(network('networks'))
    await driver.deleteNetwork('networks')
  })

  it('returns no MAC address when one was asked for', async () => {
    const driver = new Driver(driverPartsOf(createDriverWorld()))
    await driver.createNetwork(network('n1'))
    const mac = parseMac('02:00:00:00:00:07')
    expect(await driver.createEndpoint({ ...endpoint('n1', 'e1'), mac })).to.deep.equal({
      mac: null,
    })
  })

  it('succeeds on the next try after each single fault of a join', async () => {
    for (const verb of ['attachOverlay', 'attachEndpoint', 'write']) {
      const world = createDriverWorld()
      const driver = new Driver(driverPartsOf(world))
      await driver.createNetwork(network('n1'))
      await driver.createEndpoint(endpoint('n1', 'e1'))
      world.failNext = verb
      expect(await refusedWith(driver.join({ networkId: 'n1', endpointId: 'e1' }))).to.match(
        /failed/,
      )
      expect(world.kernel.get('10.10.0.0/16')?.endpoints.size ?? 0, verb).to.equal(0)
      expect(driver.networksWithEndpoints()[0]!.endpoints[0], verb).to.include({ joined: false })
      await world.clock.advance(1000)
      expect(world.kernel.size, `${verb}: a namespace for nothing`).to.equal(0)
      await driver.join({ networkId: 'n1', endpointId: 'e1' })
      await driver.deleteEndpoint('n1', 'e1')
      await world.clock.advance(1000)
      expect(world.kernel.size, verb).to.equal(0)
    }
  })

  it('keeps the namespace while another endpoint of the network is joined', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1'))
    for (const [id, address] of [
      ['e1', '10.10.0.2/16'],
      ['e2', '10.10.0.3/16'],
    ] as const) {
      await driver.createEndpoint(endpoint('n1', id, address))
      await driver.join({ networkId: 'n1', endpointId: id })
    }
    await driver.deleteEndpoint('n1', 'e1')
    expect([...world.kernel.get('10.10.0.0/16')!.endpoints.keys()]).to.deep.equal(['e2'])
    await driver.deleteEndpoint('n1', 'e2')
    await world.clock.advance(1000)
    expect(world.kernel.size).to.equal(0)
  })

  it('keeps the namespace of a container that comes back at once, and removes it at stop', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1'))
    for (const id of ['e1', 'e2']) {
      await driver.createEndpoint(endpoint('n1', id))
      await driver.join({ networkId: 'n1', endpointId: id })
      await world.clock.advance(5000)
      expect([...world.kernel.get('10.10.0.0/16')!.endpoints.keys()]).to.deep.equal([id])
      await driver.leave('n1', id)
      await driver.deleteEndpoint('n1', id)
      await world.clock.advance(999)
    }
    await driver.stop()
    expect(world.kernel.size).to.equal(0)
  })

  it('tries again when an idle namespace cannot be removed', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1'))
    await driver.createEndpoint(endpoint('n1', 'e1'))
    await driver.join({ networkId: 'n1', endpointId: 'e1' })
    await driver.deleteEndpoint('n1', 'e1')
    world.failNext = 'detachOverlay'
    await world.clock.advance(1000)
    expect(world.kernel.size).to.equal(1)
    await world.clock.advance(1000)
    expect(world.kernel.size).to.equal(0)
  })
})

describe('driver, coming back', () => {
  it('adopts what is in the kernel, publishes it again, removes what is not in the store', async () => {
    const world = createDriverWorld()
    const before = new Driver(driverPartsOf(world))
    await before.createNetwork(network('n1'))
    await before.createEndpoint(endpoint('n1', 'e1'))
    await before.join({ networkId: 'n1', endpointId: 'e1' })
    const links = world.kernel.get('10.10.0.0/16')!.links
    world.kernel.set('stranded', { links, endpoints: new Map() })
    world.published.endpoints.clear()
    world.published.overlays.clear()

    const after = new Driver(driverPartsOf(world))
    await after.start()
    expect([...world.kernel.keys()]).to.deep.equal(['10.10.0.0/16'])
    expect([...world.published.endpoints.keys()]).to.deep.equal(['e1'])
    expect([...world.published.overlays.keys()]).to.deep.equal(['10.10.0.0/16'])
  })

  it('tells of no endpoint whose link a reboot took, and works on', async () => {
    const world = createDriverWorld()
    const before = new Driver(driverPartsOf(world))
    await before.createNetwork(network('n1'))
    await before.createEndpoint(endpoint('n1', 'e1'))
    await before.join({ networkId: 'n1', endpointId: 'e1' })
    world.kernel.clear()
    world.published.endpoints.clear()

    const after = new Driver(driverPartsOf(world))
    await after.start()
    expect(world.published.endpoints.size + world.kernel.size).to.equal(0)
    await after.deleteEndpoint('n1', 'e1')
    await after.createEndpoint(endpoint('n1', 'e2'))
    await after.join({ networkId: 'n1', endpointId: 'e2' })
    expect([...world.kernel.get('10.10.0.0/16')!.endpoints.keys()]).to.deep.equal(['e2'])
  })

  it('starts although one overlay cannot be restored, and goes on trying', async () => {
    const world = createDriverWorld()
    const before = new Driver(driverPartsOf(world))
    await before.createNetwork(network('n1'))
    await before.createEndpoint(endpoint('n1', 'e1'))
    await before.join({ networkId: 'n1', endpointId: 'e1' })
    world.published.endpoints.clear()
    world.failNext = 'endpointsPresent'
    const after = new Driver(driverPartsOf(world))
    await after.start()
    // Its container may be at work: the others go on knowing it.
    expect([...world.published.endpoints.keys()]).to.deep.equal(['e1'])
    for (const [verb, retryMs] of [
      ['attachOverlay', 1000],
      ['attachEndpoint', 2000],
    ] as const) {
      world.failNext = verb
      await world.clock.advance(retryMs)
      expect(world.failNext, `${verb} was tried`).to.equal(null)
    }
    await world.clock.advance(4000)
    world.failNext = 'attachEndpoint'
    await world.clock.advance(30_000)
    expect(world.failNext, 'nothing is left to try').to.equal('attachEndpoint')
    await after.stop()
  })
})

describe('driver, options and overlays', () => {
  const other = (fields: object) => ({
    member: 'host-b',
    overlayId: 'blue',
    vni: 7000 as Vni,
    pools: [pool.cidr],
    mtu: 1400,
    encrypted: false,
    ...fields,
  })

  it('refuses a pool that is of another overlay on another member, whichever pool it is', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    world.knownOverlays.push(other({ poolKeys: ['10.9.0.0/16', '10.10.0.0/16'] }))
    expect(await refusedWith(driver.createNetwork(network('n1')))).to.match(
      /subnet 10.10.0.0\/16 of overlay "10.10.0.0\/16" belongs to overlay "blue" on member/,
    )
    const pools = ['10.9.0.0/16', '10.10.0.0/16'] as (typeof pool.cidr)[]
    world.knownOverlays[0] = other({ overlayId: '10.10.0.0/16', pools, poolKeys: pools })
    expect(await refusedWith(driver.createNetwork(network('n1')))).to.match(
      /has the subnets 10.10.0.0\/16, 10.9.0.0\/16, not 10.10.0.0\/16/,
    )
  })

  it('refuses an IPv6 pool of another overlay although the automatic IPv4 pools differ', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    const pools = ['10.9.0.0/24', 'fd00:78::/64'].map((text) => parseIpInCidr(text)!.cidr)
    for (const overlayId of ['10.9.0.0/24', 'blue']) {
      world.knownOverlays[0] = other({ overlayId, pools, poolKeys: pools })
      const dual = ['10.7.0.0/24', 'fd00:78::/64'].map((text) => {
        return { addressSpace: 'ours', pool: parseIpInCidr(text)!.cidr, gateway: null }
      })
      const request = { networkId: 'n1', options: {}, internal: false, pools: dual }
      const refused = await refusedWith(driver.createNetwork(request))
      expect(refused).to.contain('fd00:78::/64').and.contain('host-b').and.contain('10.9.0.0/24')
    }
    expect(world.published.overlays.size).to.equal(0)
  })

  it('refuses unknown options with the list of the known', async () => {
    const driver = new Driver(driverPartsOf(createDriverWorld()))
    const message = await refusedWith(driver.createNetwork(network('n1', { foo: 'bar' })))
    for (const known of [
      '"foo"',
      'overlay',
      'vni',
      'com.docker.network.driver.mtu',
      'vxlanid_list',
    ])
      expect(message).to.include(known)
    for (const wrong of [
      { vni: '0' },
      { vni: '1,2' },
      { overlay: 'a b' },
      { 'com.docker.network.driver.mtu': 'x' },
      { vni: '5', 'com.docker.network.driver.overlay.vxlanid_list': '6' },
    ])
      expect(await refusedWith(driver.createNetwork(network('n1', wrong)))).to.match(/^options? /)
  })

  it('refuses subnets where no container can be, and an MTU that IPv6 does not work with', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    const withPools = (mtu: string, ...texts: string[]) =>
      driver.createNetwork({
        networkId: 'n1',
        options: { 'com.docker.network.driver.mtu': mtu },
        internal: false,
        pools: texts.map((text) => {
          return { addressSpace: 'ours', pool: parseIpInCidr(text)!.cidr, gateway: null }
        }),
      })
    for (const [pool, reason] of [
      ['224.1.0.0/16', /multicast/],
      ['169.254.7.0/24', /single links/],
      ['127.1.0.0/16', /loopback/],
      ['10.1.0.7/32', /no room for network/],
      ['10.1.0.6/31', /no room for network/],
      ['fd00::/127', /no room for network/],
      ['192.0.2.0/24', /host here has 192\.0\.2\.1 in it, on the network between the hosts/],
    ] as const)
      expect(await refusedWith(withPools('1400', pool)), pool)
        .to.match(reason)
        .and.include(pool)
    world.hosts.push({ member: 'host-far', vtep: parseIp('198.51.100.9')! })
    world.hosts.push({ member: 'host-six', vtep: parseIp('2001:db8:7::9')! })
    for (const [pools, host] of [
      [['198.51.100.0/24'], /host host-far has 198\.51\.100\.9/],
      [['10.10.0.0/16', '198.51.0.0/16'], /host host-far has 198\.51\.100\.9/],
      [['2001:db8:7::/64'], /host host-six has 2001:db8:7::9/],
    ] as const)
      expect(await refusedWith(withPools('1400', ...pools)), pools.join()).to.match(host)
    expect(await refusedWith(withPools('1279', '10.10.0.0/16', 'fd00::/64'))).to.match(
      /MTU 1279, and IPv6 needs 1280/,
    )
    await withPools('1280', '10.10.0.0/16', 'fd00::/64')
  })

  it("follows the cluster's VNI and least MTU, and refuses another VNI or subnet, with both names", async () => {
    const world = createDriverWorld()
    world.knownOverlays.push(other({}))
    const driver = new Driver(driverPartsOf(world))
    const wrong = driver.createNetwork(network('n1', { overlay: 'blue', vni: '8' }))
    expect(await refusedWith(wrong)).to.match(/"blue" on member host-b has VNI 7000, not 8/)
    world.knownOverlays[0] = other({ pools: [parseIpInCidr('10.11.0.0/16')!.cidr] })
    const elsewhere = driver.createNetwork(network('n1', { overlay: 'blue' }))
    expect(await refusedWith(elsewhere)).to.match(/has the subnets 10\.11\.0\.0\/16, not 10\.10/)
    world.knownOverlays[0] = other({})
    await driver.createNetwork(network('n1', { overlay: 'blue' }))
    expect(world.published.overlays.get('blue')).to.include({ vni: 7000, mtu: 1400 })
  })

  it("keeps the VNI of a swarm's network, whichever host had it first, also after a restart", async () => {
    const world = createDriverWorld()
    const networkId = 'y6rz292ak19tg2jdnz2t36ue3'
    const wish = { networkId, options: {}, pools: network(networkId).pools }
    world.isCutOff = true
    const { vni: usual } = await new Driver(driverPartsOf(world)).allocateNetwork(wish)
    world.knownOverlays.push(other({ vni: Number(usual) as Vni }))
    const before = new Driver(driverPartsOf(world))
    const options = await before.allocateNetwork(wish)
    expect(options).to.deep.equal({ vni: `${Number(usual) + 1}` })
    await before.createNetwork({ ...wish, options, internal: false })
    world.knownOverlays.length = 0
    expect(await new Driver(driverPartsOf(world)).allocateNetwork(wish)).to.deep.equal(options)
  })

  it('makes a network with multicast where all members of the overlay have it', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    const create = (id: string, multicast: string, overlay = id): Promise<void> =>
      driver.createNetwork(network(id, { overlay, multicast }))
    expect(await refusedWith(create('n1', 'yes'))).to.match(/multicast="yes": use on or off/)
    await create('n1', 'on')
    expect(world.published.overlays.get('n1')).to.include({ multicast: true })
    world.knownOverlays[0] = other({})
    expect(await refusedWith(create('n2', 'on', 'blue'))).to.match(
      /"blue" on member host-b has multicast off; create the network without -o multicast=on/,
    )
    await create('n2', 'off', 'blue')
    expect(world.published.overlays.get('blue')?.multicast).to.equal(undefined)
  })

  it('makes an encrypted network where the host and all members of the overlay encrypt it', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    const create = (id: string, encrypted: string, overlay = id): Promise<void> =>
      driver.createNetwork(network(id, { overlay, encrypted }))
    expect(await refusedWith(create('n1', 'yes'))).to.match(
      /option encrypted="yes": use it without/,
    )
    world.failNext = 'ensureEncryption'
    expect(await refusedWith(create('n1', ''))).to.match(/ensureEncryption failed/)
    expect(world.published.overlays.size).to.equal(0)
    await create('n1', '')
    expect(world.published.overlays.get('n1')).to.include({ encrypted: true, mtu: 1390 })
    world.knownOverlays.push(other({}))
    expect(await refusedWith(create('n2', 'true', 'blue'))).to.match(
      /"blue" on member host-b is not encrypted; create the network without -o encrypted/,
    )
    world.knownOverlays[0] = other({ encrypted: true })
    expect(await refusedWith(create('n2', 'false', 'blue'))).to.match(
      /is encrypted; create the network with -o encrypted/,
    )
    await create('n2', 'true', 'blue')
    await driver.createEndpoint(endpoint('n2', 'e1'))
    await driver.join({ networkId: 'n2', endpointId: 'e1' })
    expect(world.kernel.get('blue')?.links.encrypted).to.equal(true)
  })

  it('refuses a VNI that another overlay has, here or there', async () => {
    const world = createDriverWorld()
    world.knownOverlays.push(other({}))
    const driver = new Driver(driverPartsOf(world))
    const there = driver.createNetwork(network('n1', { overlay: 'red', vni: '7000' }))
    expect(await refusedWith(there)).to.match(
      /VNI 7000 for overlay "red" is in use by overlay "blue"/,
    )
    await driver.createNetwork(network('n1', { overlay: 'red', vni: '7001' }))
    const here = driver.createNetwork(network('n2', { overlay: 'green', vni: '7001' }))
    expect(await refusedWith(here)).to.match(/in use by overlay "red" on member here/)
  })
})
