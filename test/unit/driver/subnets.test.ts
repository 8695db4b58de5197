import { expect } from 'chai'
import { Driver } from '../../../src/driver/driver.ts'
import { overlayOfPools } from '../../../src/driver/overlay-parameters.ts'
import { parseCidr, parseIpInCidr } from '../../../src/net/cidr.ts'
import { parseIp } from '../../../src/net/ip.ts'
import type { Vni } from '../../../src/net/vni.ts'
import { createDriverWorld, driverPartsOf } from '../../support/fake-driver-parts.ts'

const gateways = ['10.2.0.1/16', '10.1.0.1/16', 'fd02::1/64', 'fd01::1/64']

function network(networkId: string, addresses = gateways) {
  const pools = addresses.map((text) => {
    const gateway = parseIpInCidr(text)!
    return { addressSpace: 'ours', pool: gateway.cidr, gateway }
  })
  return { networkId, options: {}, internal: false, pools }
}

function endpoint(endpointId: string, ...addresses: string[]) {
  const all = addresses.map((text) => parseIpInCidr(text)!)
  return { networkId: 'n1', endpointId, addresses: all, mac: null }
}

describe('a network with several subnets', () => {
  it('is the same overlay in whichever order the subnets come', async () => {
    for (const addresses of [gateways, gateways.toReversed()]) {
      const world = createDriverWorld()
      await new Driver(driverPartsOf(world)).createNetwork(network('n1', addresses))
      expect([...world.published.overlays.keys()]).to.deep.equal(['10.1.0.0/16'])
    }
  })

  it('is the overlay that has one of its subnets', () => {
    const keys = ['10.1.0.0/16', '10.2.0.0/16']
    const other = { overlayId: '10.9.0.0/16', poolKeys: ['10.9.0.0/16'] }
    const named = { overlayId: 'blue', poolKeys: ['10.2.0.0/16'] }
    const same = { overlayId: '10.3.0.0/16', poolKeys: ['10.2.0.0/16', '10.3.0.0/16'] }
    const known = [other, named, same].map((claim) => {
      return { ...claim, vni: 5 as never, pools: [], mtu: 1450, encrypted: false, member: 'm' }
    })
    expect(overlayOfPools(keys, known)).to.equal('10.3.0.0/16')
    expect(overlayOfPools(keys, [])).to.equal('10.1.0.0/16')
    expect(overlayOfPools([], known)).to.equal(null)
  })

  it('has all gateways on the bridge, and routes to the other subnets of an endpoint’s families', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1'))
    const table = [
      [['10.1.0.7/16'], ['10.2.0.0/16']],
      [['10.2.0.7/16'], ['10.1.0.0/16']],
      [
        ['10.1.0.8/16', 'fd02::8/64'],
        ['10.2.0.0/16', 'fd01::/64'],
      ],
      [['fd01::9/64'], ['fd02::/64']],
    ] as const
    for (const [addresses, routes] of table) {
      const endpointId = addresses.join()
      await driver.createEndpoint(endpoint(endpointId, ...addresses))
      const joined = await driver.join({ networkId: 'n1', endpointId })
      expect(joined.routes, endpointId).to.deep.equal(routes)
    }
    expect(world.kernel.get('10.1.0.0/16')?.links.gateways).to.deep.equal(gateways)
  })
})

describe('a subnet that is added to a network', () => {
  const added = parseIpInCidr('10.3.0.1/16')!
  const other = (fields: object) => ({
    member: 'host-b',
    overlayId: '10.1.0.0/16',
    vni: 7000 as Vni,
    pools: [...network('n1').pools.map(({ pool }) => pool), added.cidr],
    poolKeys: network('n1').pools.map(({ pool }) => pool),
    added: [added.cidr],
    mtu: 1450,
    encrypted: false,
    ...fields,
  })

  it('is held, stored, published, and in the kernel with the routes of what runs', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1'))
    await driver.createEndpoint(endpoint('e1', '10.1.0.7/16'))
    await driver.join({ networkId: 'n1', endpointId: 'e1' })
    await driver.addSubnet('n1', added.cidr)
    await driver.addSubnet('n1', added.cidr)
    const overlay = world.published.overlays.get('10.1.0.0/16')!
    expect(overlay.pools.at(-1)).to.equal('10.3.0.0/16')
    expect(overlay.added).to.deep.equal(['10.3.0.0/16'])
    expect(world.bound.get('10.3.0.0/16')).to.equal('n1')
    const { links } = world.kernel.get('10.1.0.0/16')!
    expect(links.gateways).to.deep.equal([...gateways, '10.3.0.1/16'])
    expect(world.links.get('e1')?.routes).to.deep.equal(['10.2.0.0/16', '10.3.0.0/16'])
    // The engine repeats the call that it made, without it.
    await driver.createNetwork(network('n1'))
    const after = new Driver(driverPartsOf(world))
    expect(after.networks()[0]!.pools).to.have.length(5)
  })

  it('is added here too when another member has it, and tried again until the pool is had', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1'))
    world.knownOverlays.push(other({}))
    world.failNext = 'holdPool'
    const now = other({})
    driver.overlaysChanged([{ member: now.member, overlayId: now.overlayId, now }])
    await world.clock.advance(1000)
    expect(driver.networks()[0]!.added).to.equal(undefined)
    await world.clock.advance(10_000)
    expect(driver.networks()[0]!.added).to.deep.equal(['10.3.0.0/16'])
    await driver.stop()
  })

  it('is looked for later when members change what has none', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1'))
    await world.clock.advance(1000)
    world.knownOverlays.push(other({}))
    const { added: _, ...now } = other({})
    driver.overlaysChanged([{ member: now.member, overlayId: now.overlayId, now }])
    await world.clock.advance(1000)
    expect(driver.networks()[0]!.added).to.equal(undefined)
    await world.clock.advance(5000)
    expect(driver.networks()[0]!.added).to.deep.equal(['10.3.0.0/16'])
    await driver.stop()
  })

  it('is taken over by a host that creates the network later, with it or without', async () => {
    for (const addresses of [gateways, [...gateways, '10.3.0.1/16']]) {
      const world = createDriverWorld()
      world.knownOverlays.push(other({}))
      const driver = new Driver(driverPartsOf(world))
      await driver.createNetwork(network('n1', addresses))
      await world.clock.advance(1000)
      expect(driver.networks()[0]!.pools.toSorted()).to.deep.equal(other({}).pools.toSorted())
      await driver.stop()
    }
  })

  it('is released with its network', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1'))
    await driver.addSubnet('n1', added.cidr)
    for (const { pool } of network('n1').pools) world.pools.delete(pool)
    await driver.deleteNetwork('n1')
    expect([...world.pools.keys()]).to.deep.equal([])
  })

  it('is refused where no container can be, and beyond what a record can name', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1'))
    world.hosts.push({ member: 'host-far', vtep: parseIp('198.51.100.9')! })
    for (const text of ['192.0.2.0/24', '198.51.100.0/24', '10.3.0.0/31', '169.254.0.0/16'])
      expect(await refusalOf(driver.addSubnet('n1', parseCidr(text)!))).to.include(text)
    for (let n = 10; n < 22; n++) await driver.addSubnet('n1', parseCidr(`10.${n}.0.0/16`)!)
    expect(await refusalOf(driver.addSubnet('n1', parseCidr('10.99.0.0/16')!))).to.include('16')
  })
})

async function refusalOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'not refused',
    (error: Error) => error.message,
  )
}
