import { expect } from 'chai'
import { failure, refusal } from '../../../src/base/errors.ts'
import { Driver } from '../../../src/driver/driver.ts'
import { parseIpInCidr } from '../../../src/net/cidr.ts'
import { createDriverWorld, driverPartsOf } from '../../support/fake-driver-parts.ts'

const gateway = parseIpInCidr('10.10.0.1/16')!

function network(networkId: string) {
  const pools = [{ addressSpace: 'theirs', pool: gateway.cidr, gateway }]
  return { networkId, options: { overlay: networkId }, internal: false, pools }
}

function endpoint(networkId: string, endpointId: string, address: string) {
  return { networkId, endpointId, addresses: [parseIpInCidr(address)!], mac: null }
}

describe('a start after a stop', () => {
  it('restores the other networks when one has something that no record can hold', async () => {
    const world = createDriverWorld()
    const before = new Driver(driverPartsOf(world))
    for (const id of ['n1', 'n2']) {
      await before.createNetwork(network(id))
      await before.createEndpoint(endpoint(id, `e-${id}`, '10.10.0.2/16'))
      await before.join({ networkId: id, endpointId: `e-${id}` })
    }
    const parts = driverPartsOf(world)
    world.published.endpoints.clear()
    const putOverlay: typeof parts.cluster.putOverlay = (overlay) => {
      if (overlay.overlayId === 'n1') throw refusal('BAD_REQUEST', 'a record with a bad field')
      parts.cluster.putOverlay(overlay)
    }
    const after = new Driver({ ...parts, cluster: { ...parts.cluster, putOverlay } })
    await after.start()
    expect([...world.published.endpoints.keys()]).to.deep.equal(['e-n2'])
    await after.stop()
  })

  it('starts although it cannot find out what is in the kernel', async () => {
    const world = createDriverWorld()
    await new Driver(driverPartsOf(world)).createNetwork(network('n1'))
    const parts = driverPartsOf(world)
    const starting = (error: Error): Driver => {
      const overlays = async () => Promise.reject(error)
      return new Driver({ ...parts, dataplane: { ...parts.dataplane, overlays } })
    }
    const driver = starting(failure('KERNEL', 'a folder that cannot be read'))
    await driver.start()
    expect(driver.networksWithEndpoints()).to.have.length(1)
    await driver.stop()

    const wrong = starting(new TypeError('a bug of ours'))
    const ended = await wrong.start().catch((error: Error) => error.message)
    expect(ended).to.equal('a bug of ours')
    await wrong.stop()
  })

  it('claims what is joined, and not what was left and is not deleted yet', async () => {
    const world = createDriverWorld()
    const before = new Driver(driverPartsOf(world))
    await before.createNetwork(network('n1'))
    for (const [id, ip] of [
      ['e1', '10.10.0.2/16'],
      ['e2', '10.10.0.3/16'],
    ] as const) {
      await before.createEndpoint(endpoint('n1', id, ip))
      await before.join({ networkId: 'n1', endpointId: id })
    }
    await before.leave('n1', 'e1')
    world.published.endpoints.clear()
    const after = new Driver(driverPartsOf(world))
    await after.start()
    expect([...world.published.endpoints.keys()]).to.deep.equal(['e2'])
    expect([...world.kernel.get('n1')!.endpoints.keys()]).to.deep.equal(['e1', 'e2'])
    await after.stop()
  })
})
