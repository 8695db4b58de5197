import { expect } from 'chai'
import { Driver } from '../../../src/driver/driver.ts'
import { parseIpInCidr } from '../../../src/net/cidr.ts'
import type { DriverWorld } from '../../support/fake-driver-parts.ts'
import { createDriverWorld, driverPartsOf } from '../../support/fake-driver-parts.ts'

const gateway = parseIpInCidr('10.10.0.1/16')!

function network(networkId: string, options: Record<string, string> = {}) {
  const pools = [{ addressSpace: 'ours', pool: gateway.cidr, gateway }]
  return { networkId, options, internal: false, pools }
}

/** The overlays that a member is attached to, as agreed. */
function attached(world: DriverWorld, member = 'here'): [string, number][] {
  type Answer = { ok: { overlays: { overlayId: string; vni: number }[] } }
  const id = member === 'here' ? world.agreement.id : world.agreed.idOf(member)
  const { ok } = world.agreed.ask(member, 'attachedOverlays', { id }) as Answer
  return ok.overlays.map(({ overlayId, vni }) => [overlayId, vni])
}

function attach(world: DriverWorld, overlayId: string, vni: number | null): unknown {
  return world.agreed.run('host-b', 'attachOverlay', {
    overlayId,
    encrypted: false,
    vni,
    start: 9,
    avoid: [],
  })
}

function evictHere(world: DriverWorld): void {
  world.agreed.run('host-b', 'evict', { ids: [world.agreed.idOf('here')], lapsedMs: null })
  world.agreement.id = world.agreed.idOf('here again')
  world.agreed.run('here', 'renew', { id: world.agreement.id })
}

describe('the VNI of a network', () => {
  it('is random, agreed on, the same on all hosts, and free when no host has the overlay', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.start()
    await driver.createNetwork(network('n1', { overlay: 'blue' }))
    const { vni } = driver.networks()[0]!
    expect(attached(world)).to.deep.equal([['blue', vni]])
    expect(attach(world, 'blue', null)).to.deep.equal({ ok: { vni } })
    await driver.createNetwork(network('n2', { overlay: 'red' }))
    expect(driver.networks()[1]!.vni).to.not.be.oneOf([vni, vni + 1])
    await driver.deleteNetwork('n1')
    await driver.deleteNetwork('n2')
    await world.clock.advance(1000)
    expect(attached(world)).to.deep.equal([])
    expect(attached(world, 'host-b')).to.deep.equal([['blue', vni]])
    await driver.createNetwork(network('n3', { overlay: 'blue' }))
    expect(driver.networks()[0]!.vni).to.equal(vni)
    await driver.stop()
  })

  it('keeps off the VNIs that members publish, and follows the one of its own overlay', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.createNetwork(network('n1', { overlay: 'blue' }))
    const [claim] = world.published.overlays.values()
    const other = { ...claim!, member: 'host-c' }
    const again = createDriverWorld()
    again.knownOverlays.push({ ...other, overlayId: 'red', poolKeys: [] })
    const second = new Driver(driverPartsOf(again))
    await second.createNetwork(network('n1', { overlay: 'blue' }))
    expect(second.networks()[0]!.vni, 'the same seed').to.equal(claim!.vni + 1)
    const third = createDriverWorld()
    third.knownOverlays.push({ ...other, vni: 7_654_321 as typeof other.vni })
    const follower = new Driver(driverPartsOf(third))
    await follower.createNetwork(network('n1', { overlay: 'blue' }))
    expect(follower.networks()[0]!.vni).to.equal(7_654_321)
  })

  it('is refused, with both names, when the voters say that it is another or in use', async () => {
    const world = createDriverWorld()
    attach(world, 'blue', 7000)
    const driver = new Driver(driverPartsOf(world))
    const create = (options: Record<string, string>): Promise<string> =>
      driver.createNetwork(network('n1', options)).then(
        () => 'created',
        (error: Error) => error.message,
      )
    expect(await create({ overlay: 'blue', vni: '7001' })).to.match(
      /"blue" on member host-b has VNI 7000, not 7001/,
    )
    expect(await create({ overlay: 'red', vni: '7000' })).to.match(
      /VNI 7000 for overlay "red" is in use by overlay "blue" on member host-b/,
    )
    expect(await create({ overlay: 'blue', vni: '7000' })).to.equal('created')
  })

  it('needs a majority for a new network; a host that is cut off goes on with those it has', async () => {
    const world = createDriverWorld()
    const before = new Driver(driverPartsOf(world))
    await before.createNetwork(network('n1', { overlay: 'blue' }))
    world.isCutOff = true
    const driver = new Driver(driverPartsOf(world))
    await driver.start()
    const refused = await driver.createNetwork(network('n2', { overlay: 'red' })).catch(String)
    expect(refused).to.match(/QUORUM|majority/)
    expect(driver.networks()).to.have.length(1)
    const addresses = [parseIpInCidr('10.10.0.2/16')!]
    await driver.createEndpoint({ networkId: 'n1', endpointId: 'e1', addresses, mac: null })
    await driver.join({ networkId: 'n1', endpointId: 'e1' })
    await driver.deleteNetwork('n1')
    expect(attached(world)).to.have.length(1)
    world.isCutOff = false
    await world.clock.advance(10_000)
    expect(attached(world), 'detached when a majority is back').to.deep.equal([])
    await driver.stop()
  })

  it('is given back when the network could not be written', async () => {
    const world = createDriverWorld()
    const driver = new Driver(driverPartsOf(world))
    await driver.start()
    world.failNext = 'write'
    await driver.createNetwork(network('n1', { overlay: 'blue' })).catch(() => {})
    await world.clock.advance(1000)
    expect(attached(world)).to.deep.equal([])
    await driver.stop()
  })

  it("is claimed again after an eviction, or reported when it is somebody else's by then", async () => {
    const world = createDriverWorld()
    const warnings: string[] = []
    world.logger = { ...world.logger, warn: (text: string) => void warnings.push(text) }
    const driver = new Driver(driverPartsOf(world))
    await driver.start()
    for (const overlay of ['blue', 'red', 'green']) {
      await driver.createNetwork(network(overlay, { overlay }))
    }
    const vniOf = (id: string): number =>
      driver.networks().find(({ overlayId }) => overlayId === id)!.vni
    const addresses = [parseIpInCidr('10.10.0.2/16')!]
    await driver.createEndpoint({ networkId: 'red', endpointId: 'e1', addresses, mac: null })
    await driver.join({ networkId: 'red', endpointId: 'e1' })
    const vnis = { blue: vniOf('blue'), red: vniOf('red') }
    evictHere(world)
    attach(world, 'red', 5001)
    attach(world, 'green', 5002)
    await world.clock.advance(61_000)
    expect(attached(world)).to.have.deep.members([
      ['blue', vnis.blue],
      ['green', 5002],
    ])
    expect(vniOf('green'), 'a network without endpoints takes what is agreed').to.equal(5002)
    expect(world.published.overlays.get('green')).to.include({ vni: 5002 })
    expect(vniOf('red'), 'one with endpoints keeps its own').to.equal(vnis.red)
    await world.clock.advance(60_000)
    const logged = warnings.filter((text) => text.includes(`has VNI 5001, not ${vnis.red}`))
    expect(logged).to.have.length(1)
    await driver.stop()
  })
})
