import { expect } from 'chai'
import { Driver } from '../../../src/driver/driver.ts'
import { overlayOfPools } from '../../../src/driver/overlay-parameters.ts'
import { parseIpInCidr } from '../../../src/net/cidr.ts'
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
