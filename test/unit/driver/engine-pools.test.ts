/** Networks whose addresses the engines' own IPAM driver hands out. */
import { expect } from 'chai'
import { Driver } from '../../../src/driver/driver.ts'
import { type Cidr, parseCidr, parseIpInCidr } from '../../../src/net/cidr.ts'
import { enginePoolKey } from '../../../src/net/pool-key.ts'
import type { Vni } from '../../../src/net/vni.ts'
import type { DriverWorld } from '../../support/fake-driver-parts.ts'
import { createDriverWorld, driverPartsOf } from '../../support/fake-driver-parts.ts'

const pool = parseCidr('10.10.0.0/16')!
const key = enginePoolKey(pool)
const command = 'docker network create -d ts-overlay --ipam-driver ts-overlay NAME'

function network(networkId: string, cidr: Cidr = pool, options: Record<string, string> = {}) {
  const gateway = parseIpInCidr(cidr.replace(/\.0\//, '.1/'))!
  const pools = [{ addressSpace: 'LocalDefault', pool: cidr, gateway }]
  return { networkId, options, internal: false, pools }
}

function endpoint(networkId: string, address: string) {
  return { networkId, endpointId: address, addresses: [parseIpInCidr(address)!], mac: null }
}

async function refusedWith(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'not refused',
    (error: Error) => error.message,
  )
}

/** The parts that a member has, as agreed. */
function partsOf(world: DriverWorld, member: string): number[] {
  const view = world.agreed.views(member).find((one) => one.pool === key)
  return view?.blocks.map(([part]) => part) ?? []
}

const holdParts = (world: DriverWorld, lower: boolean, of = key) =>
  world.agreed.run('host-b', 'holdParts', { pool: of, lower })

describe("a network with the engines' own addresses", () => {
  let world: DriverWorld
  let driver: Driver

  beforeEach(async () => {
    world = createDriverWorld()
    driver = new Driver(driverPartsOf(world))
    await driver.start()
  })
  afterEach(() => driver.stop())

  it('claims its pool for the cluster and the lower half for this host', async () => {
    await driver.createNetwork(network('n1'))
    expect(partsOf(world, 'here')).to.have.length(128)
    expect(driver.networks()[0]).to.deep.include({ overlayId: key, ranges: ['10.10.0.0/17'] })
    expect(world.published.overlays.get(key)?.ranges).to.deep.equal(['10.10.0.0/17'])
    expect(world.agreed.run('host-b', 'holdPool', { pool: '10.10.4.0/24' })).to.deep.equal({
      refused: { code: 'OVERLAP', pool: key, member: 'here' },
    })
    await driver.createEndpoint(endpoint('n1', '10.10.0.2/16'))
  })

  it('refuses an address of another part, with the holder', async () => {
    await driver.createNetwork(network('n1'))
    const vni = driver.networks()[0]!.vni
    const claim = { overlayId: key, vni, pools: [pool], mtu: 1450, encrypted: false }
    world.knownOverlays.push({ ...claim, ranges: [parseCidr('10.10.128.0/24')!], member: 'host-b' })
    const refused = await refusedWith(driver.createEndpoint(endpoint('n1', '10.10.128.9/16')))
    expect(refused).to.match(/10\.10\.128\.9 .*host-b's; this host has 10\.10\.0\.0\/17/)
    const nobody = await refusedWith(driver.createEndpoint(endpoint('n1', '10.10.129.9/16')))
    expect(nobody).to.contain("another member's")
    expect(world.published.endpoints.size).to.equal(0)
  })

  it('has one part of the upper half for a copy, and hands out from that alone', async () => {
    holdParts(world, true)
    const ranges = await driver.copyNetwork([pool], async (given) => {
      await driver.createNetwork(network('n1'))
      return given
    })
    expect(ranges).to.deep.equal(['10.10.128.0/24'])
    expect(driver.networks()[0]).to.deep.include({ overlayId: key, ranges })
    await driver.createEndpoint(endpoint('n1', '10.10.128.2/16'))
    expect(await refusedWith(driver.createEndpoint(endpoint('n1', '10.10.0.2/16')))).to.contain(
      'this host has 10.10.128.0/24',
    )
  })

  it('waits a moment for the half of a network that is gone', async () => {
    holdParts(world, true)
    const created = driver.createNetwork(network('n1'))
    await world.clock.advance(500)
    const { held } = world.agreed.views('host-b').find((view) => view.pool === key)!
    world.agreed.run('host-b', 'releasePool', { pool: key, grant: held })
    await world.clock.advance(500)
    await created
    expect(partsOf(world, 'here')).to.have.length(128)
    await driver.deleteNetwork('n1')
    await world.clock.advance(1000)
    holdParts(world, true)
    const refused = refusedWith(driver.createNetwork(network('n2')))
    await world.clock.advance(3000)
    expect(await refused).to.contain('of host-b')
  })

  it('is refused where the pool is that of another host, or overlaps one of the cluster', async () => {
    holdParts(world, true)
    const theirs = { overlayId: key, vni: 7 as Vni, pools: [pool], mtu: 1450, encrypted: false }
    world.knownOverlays.push({ ...theirs, member: 'host-b' })
    const owned = await refusedWith(driver.createNetwork(network('n1')))
    expect(owned).to.contain('of host-b').and.contain(command)
    const overlap = await refusedWith(
      driver.createNetwork(network('n2', parseCidr('10.10.4.0/24')!)),
    )
    expect(overlap).to.contain(`overlaps pool ${key} of host-b`).and.contain(command)
    world.agreed.run('host-b', 'holdPool', { pool: '10.20.0.0/24' })
    const shared = await refusedWith(
      driver.createNetwork(network('n3', parseCidr('10.20.0.0/24')!)),
    )
    expect(shared).to.contain('of host-b').and.contain(command)
    expect(driver.networks()).to.deep.equal([])
  })

  it('is refused where no copy could be made, with the reason', async () => {
    world.prefixUsers.push({ member: 'host-b', prefix: parseCidr('10.10.7.0/24')! })
    const prefix = await refusedWith(driver.createNetwork(network('n1')))
    expect(prefix).to.contain('10.10.7.0/24, which host-b uses').and.contain(command)
    world.prefixUsers.length = 0
    world.whyNoCopies = 'ENGINE_API=off'
    expect(await refusedWith(driver.createNetwork(network('n1'))))
      .to.contain('ENGINE_API=off')
      .and.contain(command)
    world.whyNoCopies = null
    world.isCutOff = true
    expect(await refusedWith(driver.createNetwork(network('n1')))).to.contain('no majority')
  })

  it('gives its pool back when it is removed, and when it could not be created', async () => {
    await driver.createNetwork(network('n1'))
    await driver.deleteNetwork('n1')
    await world.clock.advance(1000)
    expect(partsOf(world, 'here')).to.deep.equal([])
    world.failNext = 'write'
    await refusedWith(driver.createNetwork(network('n1')))
    await driver.copyNetwork([pool], async () => {})
    await world.clock.advance(70_000)
    expect(partsOf(world, 'here')).to.deep.equal([])
  })

  it('is claimed again after an eviction, and hands out nothing when the part is gone', async () => {
    await driver.createNetwork(network('n1'))
    const evict = (): void => {
      world.agreed.run('host-b', 'evict', { ids: [world.agreement.id], lapsedMs: null })
      world.agreement.id = world.agreed.idOf(`again ${world.agreed.index}`)
      world.agreed.run('here', 'renew', { id: world.agreement.id })
    }
    evict()
    await world.clock.advance(70_000)
    await driver.createEndpoint(endpoint('n1', '10.10.0.2/16'))
    evict()
    holdParts(world, true)
    await world.clock.advance(70_000)
    expect(await refusedWith(driver.createEndpoint(endpoint('n1', '10.10.0.3/16')))).to.contain(
      'none any more',
    )
  })

  it('is as ever with -o overlay=NAME, and refused under an IPAM driver of others', async () => {
    await driver.createNetwork(network('n1', pool, { overlay: 'blue' }))
    expect(partsOf(world, 'here')).to.deep.equal([])
    const other = { ...network('n2'), pools: [{ ...network('n2').pools[0]!, addressSpace: 'x' }] }
    expect(await refusedWith(driver.createNetwork(other))).to.contain(command)
  })
})
