import { expect } from 'chai'
import { Driver } from '../../../src/driver/driver.ts'
import { parseIpInCidr } from '../../../src/net/cidr.ts'
import {
  type DriverWorld,
  createDriverWorld,
  driverPartsOf,
  orphanGraceMs,
} from '../../support/fake-driver-parts.ts'

const gateway = parseIpInCidr('10.10.0.1/16')!
const poolKey = '10.10.0.0/16'

describe('a network that the engine does not have', () => {
  let world: DriverWorld
  let driver: Driver

  beforeEach(async () => {
    world = createDriverWorld()
    driver = new Driver(driverPartsOf(world))
    await driver.start()
    const pools = [{ addressSpace: 'ours', pool: gateway.cidr, gateway }]
    await driver.createNetwork({ networkId: 'abc1', options: {}, internal: false, pools })
  })
  afterEach(() => driver.stop())

  const messageOf = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'not refused',
      (error: Error) => error.message,
    )

  it('is removed by the beginning of its id, and its pool after it', async () => {
    expect(await driver.dropNetwork('abc')).to.equal('abc1')
    expect(driver.networksWithEndpoints()).to.deep.equal([])
    expect(world.published.overlays.size + world.bound.size).to.equal(0)
    await world.clock.advance(orphanGraceMs * 1.6)
    expect(world.pools.size).to.equal(0)
  })

  it('is not taken for one with endpoints, nor for another', async () => {
    const addresses = [parseIpInCidr('10.10.0.2/16')!]
    await driver.createEndpoint({ networkId: 'abc1', endpointId: 'e1', addresses, mac: null })
    expect(await messageOf(driver.dropNetwork('abc1'))).to.match(/abc1 has 1 endpoints/)
    expect(await messageOf(driver.dropNetwork('b'))).to.match(/begins with "b"/)
    const pools = [{ addressSpace: 'theirs', pool: gateway.cidr, gateway }]
    await driver.createNetwork({
      networkId: 'abc2',
      options: { overlay: 'abc2' },
      internal: false,
      pools,
    })
    expect(await messageOf(driver.dropNetwork('abc'))).to.match(/more than one .* "abc"/)
    expect(driver.networksWithEndpoints()).to.have.length(2)
  })

  it('is named by the refusal of another for the same overlay, with the remedy', async () => {
    const pools = [{ addressSpace: 'ours', pool: gateway.cidr, gateway }]
    const again = driver.createNetwork({ networkId: 'new', options: {}, internal: false, pools })
    expect(await messageOf(again)).to.match(/network abc1 .*DELETE \/networks\/abc1/)
  })

  it('is still whole when the disk refuses its removal', async () => {
    world.failNext = 'write'
    expect(await messageOf(driver.deleteNetwork('abc1'))).to.match(/write/)
    expect(driver.networksWithEndpoints()).to.have.length(1)
    expect([...world.published.overlays.keys()]).to.deep.equal([poolKey])
    await driver.deleteNetwork('abc1')
    expect(world.published.overlays.size).to.equal(0)
  })
})
