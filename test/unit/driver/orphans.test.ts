import { expect } from 'chai'
import { Driver } from '../../../src/driver/driver.ts'
import type { LinkLocation } from '../../../src/driver/ports.ts'
import { parseIpInCidr } from '../../../src/net/cidr.ts'
import { type Ip, parseIp } from '../../../src/net/ip.ts'
import {
  type DriverWorld,
  createDriverWorld,
  driverPartsOf,
  orphanGraceMs,
} from '../../support/fake-driver-parts.ts'

const gateway = parseIpInCidr('10.10.0.1/16')!
const poolKey = '10.10.0.0/16'
const first = '10.10.0.2' as Ip
const second = '10.10.0.3' as Ip

/** Time for the look that finds an orphan, the grace, and the look that releases it. */
const longEnoughMs = orphanGraceMs * 1.6

/** The engine's calls for a network with our addresses, on a driver that has started. */
class Fixture {
  readonly world: DriverWorld = createDriverWorld()
  driver = new Driver(driverPartsOf(this.world))

  async createNetwork(networkId = 'n1'): Promise<void> {
    await this.driver.start()
    const pools = [{ addressSpace: 'ours', pool: gateway.cidr, gateway }]
    await this.driver.createNetwork({ networkId, options: {}, internal: false, pools })
  }

  lease(ip: Ip): void {
    this.world.leases.push({ poolKey, ip, since: this.world.clock.wall() })
  }

  async createEndpoint(endpointId: string, ip: Ip): Promise<void> {
    this.lease(ip)
    const addresses = [parseIpInCidr(`${ip}/16`)!]
    await this.driver.createEndpoint({ networkId: 'n1', endpointId, addresses, mac: null })
  }

  /** Join, and the engine has the link where it wants it. */
  async join(endpointId: string, place: LinkLocation = 'sandbox'): Promise<void> {
    await this.driver.join({ networkId: 'n1', endpointId })
    this.world.kernel.get(poolKey)!.endpoints.set(endpointId, place)
  }

  advance(ms: number): Promise<void> {
    return this.world.clock.advance(ms)
  }

  get endpoints(): string[] {
    return this.driver
      .networksWithEndpoints()
      .flatMap(({ endpoints }) => endpoints.map((e) => e.endpointId))
  }

  get released(): Record<string, number> {
    return Object.fromEntries(
      Object.entries(this.driver.orphans().released).filter(([, count]) => count > 0),
    )
  }

  get leases(): string[] {
    return this.world.leases.map(({ ip }) => ip)
  }
}

describe('what nothing uses', () => {
  let fixture: Fixture

  beforeEach(async () => {
    fixture = new Fixture()
    await fixture.createNetwork()
  })
  afterEach(() => fixture.driver.stop())

  it('is not what a container uses, for however long', async () => {
    await fixture.createEndpoint('e1', first)
    await fixture.join('e1')
    await fixture.advance(orphanGraceMs * 100)
    expect(fixture.endpoints).to.deep.equal(['e1'])
    expect(fixture.leases).to.deep.equal([first])
    expect(fixture.released).to.deep.equal({})
    expect(fixture.driver.orphans().waiting).to.deep.equal([])
  })

  it('is an endpoint that was created and never joined, with its address', async () => {
    await fixture.createEndpoint('e1', first)
    await fixture.advance(orphanGraceMs)
    expect(fixture.endpoints).to.deep.equal(['e1'])
    expect(fixture.driver.orphans().waiting).to.have.length(1)
    await fixture.advance(orphanGraceMs * 0.6)
    expect(fixture.endpoints).to.deep.equal([])
    expect(fixture.leases).to.deep.equal([])
    expect(fixture.world.published.endpoints.size).to.equal(0)
    expect(fixture.released).to.deep.equal({ 'endpoint-unjoined': 1 })
    expect(fixture.driver.orphans().waiting).to.deep.equal([])
  })

  it('is an endpoint whose link is gone', async () => {
    await fixture.createEndpoint('e1', first)
    await fixture.join('e1')
    await fixture.createEndpoint('e2', second)
    await fixture.join('e2')
    fixture.world.kernel.get(poolKey)!.endpoints.delete('e1')
    await fixture.advance(longEnoughMs)
    expect(fixture.endpoints).to.deep.equal(['e2'])
    expect(fixture.leases).to.deep.equal([second])
    expect(fixture.released).to.deep.equal({ 'endpoint-gone': 1 })
  })

  it('is an endpoint whose link the engine never moves, and its namespace goes', async () => {
    await fixture.createEndpoint('e1', first)
    await fixture.join('e1', 'hostNetns')
    // Engines up to 27 join before they mount the container's volumes.
    await fixture.advance(orphanGraceMs * 4)
    expect(fixture.endpoints).to.deep.equal(['e1'])
    await fixture.advance(longEnoughMs)
    expect(fixture.endpoints).to.deep.equal([])
    expect(fixture.released).to.deep.equal({ 'endpoint-parked': 1 })
    await fixture.advance(2000)
    expect(fixture.world.kernel.size).to.equal(0)
  })

  it('is not a link that the engine takes late', async () => {
    await fixture.createEndpoint('e1', first)
    await fixture.join('e1', 'hostNetns')
    await fixture.advance(orphanGraceMs * 0.9)
    fixture.world.kernel.get(poolKey)!.endpoints.set('e1', 'sandbox')
    await fixture.advance(orphanGraceMs * 10)
    expect(fixture.endpoints).to.deep.equal(['e1'])
  })

  it('is counted from when it was last used', async () => {
    await fixture.createEndpoint('e1', first)
    await fixture.advance(orphanGraceMs * 0.9)
    await fixture.join('e1', 'hostNetns')
    await fixture.advance(orphanGraceMs * 0.9)
    expect(fixture.endpoints).to.deep.equal(['e1'])
  })

  it('is an endpoint that was left and not deleted, and not one whose link is still in a container', async () => {
    await fixture.createEndpoint('e1', first)
    await fixture.join('e1')
    await fixture.driver.leave('n1', 'e1')
    await fixture.advance(longEnoughMs)
    expect(fixture.endpoints).to.deep.equal(['e1'])
    fixture.world.kernel.get(poolKey)!.endpoints.set('e1', 'hostNetns')
    await fixture.advance(longEnoughMs)
    expect(fixture.endpoints).to.deep.equal([])
    expect(fixture.released).to.deep.equal({ 'endpoint-unjoined': 1 })
  })

  it('is a link of no endpoint, once nobody has taken it', async () => {
    await fixture.createEndpoint('e1', first)
    await fixture.join('e1')
    const { endpoints } = fixture.world.kernel.get(poolKey)!
    endpoints.set('stray', 'hostNetns').set('sandbox', 'sandbox')
    await fixture.advance(longEnoughMs)
    expect([...endpoints.keys()]).to.deep.equal(['e1', 'sandbox'])
    expect(fixture.released).to.deep.equal({ link: 1 })
  })

  it('is an address without an endpoint', async () => {
    fixture.lease(first)
    await fixture.createEndpoint('e2', second)
    await fixture.join('e2')
    await fixture.advance(longEnoughMs)
    expect(fixture.leases).to.deep.equal([second])
    expect(fixture.released).to.deep.equal({ address: 1 })
  })

  it('is not an address that is handed out again and again', async () => {
    for (let round = 0; round < 20; round++) {
      fixture.lease(first)
      await fixture.advance(orphanGraceMs * 0.7)
      expect(fixture.leases).to.deep.equal([first])
      fixture.world.leases = []
      await fixture.advance(1)
    }
    expect(fixture.released).to.deep.equal({})
  })

  it('is a pool that was requested and got no gateway', async () => {
    const since = fixture.world.clock.wall()
    const lost = { poolKey: '10.11.0.0/16', networkId: null, gateway: null, since, isShared: true }
    fixture.world.pools.set(lost.poolKey, lost)
    await fixture.advance(longEnoughMs)
    expect([...fixture.world.pools.keys()]).to.deep.equal([poolKey])
    expect(fixture.released).to.deep.equal({ pool: 1 })
  })

  it("is not a pool that may be another network driver's, nor a swarm's, nor an address of one", async () => {
    const bare = { networkId: null, since: 1, isShared: true }
    const pools = [
      { ...bare, poolKey: 'bridge', gateway: parseIp('10.12.0.1')! },
      { ...bare, poolKey: 'no gateway but in use', gateway: null },
      { ...bare, poolKey: 'swarm', gateway: null, isShared: false },
    ]
    for (const pool of pools) fixture.world.pools.set(pool.poolKey, pool)
    for (const { poolKey: key } of pools.slice(0, 2))
      fixture.world.leases.push({ poolKey: key, ip: first, since: 1 })
    await fixture.advance(orphanGraceMs * 10)
    expect(fixture.world.pools.size).to.equal(4)
    expect(fixture.world.leases).to.have.length(2)
  })

  it('is a pool that is bound to a network which was never written', async () => {
    const held = fixture.world.pools.get(poolKey)!
    const other = { ...held, poolKey: '10.20.0.0/16', networkId: 'never written' }
    fixture.world.pools.set(other.poolKey, other)
    await fixture.advance(longEnoughMs)
    expect([...fixture.world.pools.keys()]).to.deep.equal([poolKey])
  })

  it('is a pool that outlived its network, also after a restart', async () => {
    await fixture.driver.deleteNetwork('n1')
    expect(fixture.world.pools.get(poolKey)?.networkId).to.equal(null)
    await fixture.driver.stop()
    fixture.driver = new Driver(driverPartsOf(fixture.world))
    await fixture.driver.start()
    await fixture.advance(longEnoughMs)
    expect([...fixture.world.pools.keys()]).to.deep.equal([])
    expect(fixture.released).to.deep.equal({ pool: 1 })
    expect(fixture.world.disk.get('left-pools')?.size).to.equal(0)
  })

  it('is not such a pool once it was requested again', async () => {
    await fixture.driver.deleteNetwork('n1')
    await fixture.advance(orphanGraceMs * 0.9)
    const since = fixture.world.clock.wall()
    fixture.world.pools.set(poolKey, { ...fixture.world.pools.get(poolKey)!, since })
    await fixture.advance(orphanGraceMs * 10)
    expect([...fixture.world.pools.keys()]).to.deep.equal([poolKey])
    expect(fixture.world.disk.get('left-pools')?.size).to.equal(0)
  })

  it('is a network whose pools were all released', async () => {
    await fixture.createEndpoint('e1', first)
    fixture.world.pools.clear()
    fixture.world.leases = []
    await fixture.advance(longEnoughMs)
    expect(fixture.driver.networksWithEndpoints()).to.deep.equal([])
    expect(fixture.world.published.overlays.size + fixture.world.published.endpoints.size).to.equal(
      0,
    )
    expect(fixture.released).to.include({ network: 1 })
  })

  it('is a network whose pool was released and requested again', async () => {
    const held = fixture.world.pools.get(poolKey)!
    fixture.world.pools.set(poolKey, { ...held, networkId: null, since: held.since + 1 })
    await fixture.advance(longEnoughMs)
    expect(fixture.driver.networks()).to.deep.equal([])
  })

  it('is not a network that a container is on', async () => {
    await fixture.createEndpoint('e1', first)
    await fixture.join('e1')
    fixture.world.pools.clear()
    await fixture.advance(orphanGraceMs * 10)
    expect(fixture.driver.networksWithEndpoints()).to.have.length(1)
  })

  it('stays until it can be released', async () => {
    await fixture.createEndpoint('e1', first)
    await fixture.join('e1', 'hostNetns')
    fixture.world.failNext = 'detachEndpoint'
    await fixture.advance(orphanGraceMs * 4 + longEnoughMs)
    expect(fixture.world.failNext).to.equal(null)
    await fixture.advance(orphanGraceMs)
    expect(fixture.endpoints).to.deep.equal([])
  })

  it('is found although another overlay cannot be read', async () => {
    const pools = [{ addressSpace: 'theirs', pool: gateway.cidr, gateway }]
    await fixture.driver.createNetwork({
      networkId: 'n2',
      options: { overlay: 'n2' },
      internal: false,
      pools,
    })
    await fixture.createEndpoint('e1', first)
    fixture.world.unreadable.add('n2')
    await fixture.advance(longEnoughMs)
    expect(fixture.endpoints).to.deep.equal([])
    expect(fixture.released).to.deep.equal({ 'endpoint-unjoined': 1 })
  })

  it('is let go when the engine remembers it meanwhile', async () => {
    await fixture.createEndpoint('e1', first)
    await fixture.advance(orphanGraceMs * 0.9)
    await fixture.driver.deleteEndpoint('n1', 'e1')
    fixture.world.leases = []
    await fixture.advance(orphanGraceMs * 10)
    expect(fixture.released).to.deep.equal({})
  })
})

describe('a network whose pools were all released', () => {
  it('is released in the queue of networks, whatever its id', async () => {
    const fixture = new Fixture()
    await fixture.createNetwork('networks')
    fixture.world.pools.clear()
    await fixture.advance(longEnoughMs)
    expect(fixture.driver.networksWithEndpoints()).to.deep.equal([])
    // What is created meanwhile waits for the release.
    await fixture.createNetwork('n2')
    await fixture.driver.stop()
  })
})

describe('an address that the engine releases', () => {
  it('stays while an endpoint has it: the release is of one that is long gone', async () => {
    const fixture = new Fixture()
    await fixture.createNetwork()
    await fixture.createEndpoint('e1', first)
    expect(fixture.driver.hasAddress(poolKey, first)).to.equal(true)
    expect(fixture.driver.hasAddress(poolKey, second)).to.equal(false)
    expect(fixture.driver.hasAddress('10.11.0.0/16', first)).to.equal(false)
    await fixture.driver.deleteEndpoint('n1', 'e1')
    expect(fixture.driver.hasAddress(poolKey, first)).to.equal(false)
    await fixture.driver.stop()
  })
})
