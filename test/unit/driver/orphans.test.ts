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
class Scene {
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
  let scene: Scene

  beforeEach(async () => {
    scene = new Scene()
    await scene.createNetwork()
  })
  afterEach(() => scene.driver.stop())

  it('is not what a container uses, for however long', async () => {
    await scene.createEndpoint('e1', first)
    await scene.join('e1')
    await scene.advance(orphanGraceMs * 100)
    expect(scene.endpoints).to.deep.equal(['e1'])
    expect(scene.leases).to.deep.equal([first])
    expect(scene.released).to.deep.equal({})
    expect(scene.driver.orphans().waiting).to.deep.equal([])
  })

  it('is an endpoint that was created and never joined, with its address', async () => {
    await scene.createEndpoint('e1', first)
    await scene.advance(orphanGraceMs)
    expect(scene.endpoints).to.deep.equal(['e1'])
    expect(scene.driver.orphans().waiting).to.have.length(1)
    await scene.advance(orphanGraceMs * 0.6)
    expect(scene.endpoints).to.deep.equal([])
    expect(scene.leases).to.deep.equal([])
    expect(scene.world.told.endpoints.size).to.equal(0)
    expect(scene.released).to.deep.equal({ 'endpoint-unjoined': 1 })
    expect(scene.driver.orphans().waiting).to.deep.equal([])
  })

  it('is an endpoint whose link is gone', async () => {
    await scene.createEndpoint('e1', first)
    await scene.join('e1')
    await scene.createEndpoint('e2', second)
    await scene.join('e2')
    scene.world.kernel.get(poolKey)!.endpoints.delete('e1')
    await scene.advance(longEnoughMs)
    expect(scene.endpoints).to.deep.equal(['e2'])
    expect(scene.leases).to.deep.equal([second])
    expect(scene.released).to.deep.equal({ 'endpoint-gone': 1 })
  })

  it('is an endpoint whose link nobody takes, and no namespace is kept for it', async () => {
    await scene.createEndpoint('e1', first)
    await scene.join('e1', 'hostNetns')
    // Engines up to 27 join before they mount the container's volumes.
    await scene.advance(orphanGraceMs * 4)
    expect(scene.endpoints).to.deep.equal(['e1'])
    await scene.advance(longEnoughMs)
    expect(scene.endpoints).to.deep.equal([])
    expect(scene.released).to.deep.equal({ 'endpoint-parked': 1 })
    await scene.advance(2000)
    expect(scene.world.kernel.size).to.equal(0)
  })

  it('is not a link that the engine takes late', async () => {
    await scene.createEndpoint('e1', first)
    await scene.join('e1', 'hostNetns')
    await scene.advance(orphanGraceMs * 0.9)
    scene.world.kernel.get(poolKey)!.endpoints.set('e1', 'sandbox')
    await scene.advance(orphanGraceMs * 10)
    expect(scene.endpoints).to.deep.equal(['e1'])
  })

  it('is counted from when it was last used', async () => {
    await scene.createEndpoint('e1', first)
    await scene.advance(orphanGraceMs * 0.9)
    await scene.join('e1', 'hostNetns')
    await scene.advance(orphanGraceMs * 0.9)
    expect(scene.endpoints).to.deep.equal(['e1'])
  })

  it('is an endpoint that was left and not deleted, and not one whose link is still in a container', async () => {
    await scene.createEndpoint('e1', first)
    await scene.join('e1')
    await scene.driver.leave('n1', 'e1')
    await scene.advance(longEnoughMs)
    expect(scene.endpoints).to.deep.equal(['e1'])
    scene.world.kernel.get(poolKey)!.endpoints.set('e1', 'hostNetns')
    await scene.advance(longEnoughMs)
    expect(scene.endpoints).to.deep.equal([])
    expect(scene.released).to.deep.equal({ 'endpoint-unjoined': 1 })
  })

  it('is a link of no endpoint, once nobody has taken it', async () => {
    await scene.createEndpoint('e1', first)
    await scene.join('e1')
    const { endpoints } = scene.world.kernel.get(poolKey)!
    endpoints.set('stray', 'hostNetns').set('sandbox', 'sandbox')
    await scene.advance(longEnoughMs)
    expect([...endpoints.keys()]).to.deep.equal(['e1', 'sandbox'])
    expect(scene.released).to.deep.equal({ link: 1 })
  })

  it('is an address without an endpoint', async () => {
    scene.lease(first)
    await scene.createEndpoint('e2', second)
    await scene.join('e2')
    await scene.advance(longEnoughMs)
    expect(scene.leases).to.deep.equal([second])
    expect(scene.released).to.deep.equal({ address: 1 })
  })

  it('is not an address that is handed out anew again and again', async () => {
    for (let round = 0; round < 20; round++) {
      scene.lease(first)
      await scene.advance(orphanGraceMs * 0.7)
      expect(scene.leases).to.deep.equal([first])
      scene.world.leases = []
      await scene.advance(1)
    }
    expect(scene.released).to.deep.equal({})
  })

  it('is a pool that was requested and got no gateway', async () => {
    const since = scene.world.clock.wall()
    const lost = { poolKey: '10.11.0.0/16', networkId: null, gateway: null, since, isShared: true }
    scene.world.pools.set(lost.poolKey, lost)
    await scene.advance(longEnoughMs)
    expect([...scene.world.pools.keys()]).to.deep.equal([poolKey])
    expect(scene.released).to.deep.equal({ pool: 1 })
  })

  it("is not a pool that may be another network driver's, nor a swarm's, nor an address of one", async () => {
    const bare = { networkId: null, since: 1, isShared: true }
    const pools = [
      { ...bare, poolKey: 'bridge', gateway: parseIp('10.12.0.1')! },
      { ...bare, poolKey: 'no gateway but in use', gateway: null },
      { ...bare, poolKey: 'swarm', gateway: null, isShared: false },
    ]
    for (const pool of pools) scene.world.pools.set(pool.poolKey, pool)
    for (const { poolKey: key } of pools.slice(0, 2))
      scene.world.leases.push({ poolKey: key, ip: first, since: 1 })
    await scene.advance(orphanGraceMs * 10)
    expect(scene.world.pools.size).to.equal(4)
    expect(scene.world.leases).to.have.length(2)
  })

  it('is a pool that outlived its network, also after a restart', async () => {
    await scene.driver.deleteNetwork('n1')
    expect(scene.world.pools.get(poolKey)?.networkId).to.equal(null)
    await scene.driver.stop()
    scene.driver = new Driver(driverPartsOf(scene.world))
    await scene.driver.start()
    await scene.advance(longEnoughMs)
    expect([...scene.world.pools.keys()]).to.deep.equal([])
    expect(scene.released).to.deep.equal({ pool: 1 })
    expect(scene.world.disk.get('left-pools')?.size).to.equal(0)
  })

  it('is not such a pool once it was requested again', async () => {
    await scene.driver.deleteNetwork('n1')
    await scene.advance(orphanGraceMs * 0.9)
    const since = scene.world.clock.wall()
    scene.world.pools.set(poolKey, { ...scene.world.pools.get(poolKey)!, since })
    await scene.advance(orphanGraceMs * 10)
    expect([...scene.world.pools.keys()]).to.deep.equal([poolKey])
    expect(scene.world.disk.get('left-pools')?.size).to.equal(0)
  })

  it('is a network whose pools were all released', async () => {
    await scene.createEndpoint('e1', first)
    scene.world.pools.clear()
    scene.world.leases = []
    await scene.advance(longEnoughMs)
    expect(scene.driver.networksWithEndpoints()).to.deep.equal([])
    expect(scene.world.told.overlays.size + scene.world.told.endpoints.size).to.equal(0)
    expect(scene.released).to.include({ network: 1 })
  })

  it('is a network whose pool was released and requested again', async () => {
    const held = scene.world.pools.get(poolKey)!
    scene.world.pools.set(poolKey, { ...held, networkId: null, since: held.since + 1 })
    await scene.advance(longEnoughMs)
    expect(scene.driver.networks()).to.deep.equal([])
  })

  it('is not a network that a container is on', async () => {
    await scene.createEndpoint('e1', first)
    await scene.join('e1')
    scene.world.pools.clear()
    await scene.advance(orphanGraceMs * 10)
    expect(scene.driver.networksWithEndpoints()).to.have.length(1)
  })

  it('stays until it can be released', async () => {
    await scene.createEndpoint('e1', first)
    await scene.join('e1', 'hostNetns')
    scene.world.failNext = 'detachEndpoint'
    await scene.advance(orphanGraceMs * 4 + longEnoughMs)
    expect(scene.world.failNext).to.equal(null)
    await scene.advance(orphanGraceMs)
    expect(scene.endpoints).to.deep.equal([])
  })

  it('is found although another overlay cannot be read', async () => {
    const pools = [{ addressSpace: 'theirs', pool: gateway.cidr, gateway }]
    await scene.driver.createNetwork({ networkId: 'n2', options: {}, internal: false, pools })
    await scene.createEndpoint('e1', first)
    scene.world.unreadable.add('n2')
    await scene.advance(longEnoughMs)
    expect(scene.endpoints).to.deep.equal([])
    expect(scene.released).to.deep.equal({ 'endpoint-unjoined': 1 })
  })

  it('is let go when the engine remembers it meanwhile', async () => {
    await scene.createEndpoint('e1', first)
    await scene.advance(orphanGraceMs * 0.9)
    await scene.driver.deleteEndpoint('n1', 'e1')
    scene.world.leases = []
    await scene.advance(orphanGraceMs * 10)
    expect(scene.released).to.deep.equal({})
  })
})

describe('a network whose pools were all released', () => {
  it('is released in the queue of networks, whatever its id', async () => {
    const scene = new Scene()
    await scene.createNetwork('networks')
    scene.world.pools.clear()
    await scene.advance(longEnoughMs)
    expect(scene.driver.networksWithEndpoints()).to.deep.equal([])
    // What is created meanwhile waits for the release.
    await scene.createNetwork('n2')
    await scene.driver.stop()
  })
})

describe('an address that the engine releases', () => {
  it('stays while an endpoint has it: the release is of one that is long gone', async () => {
    const scene = new Scene()
    await scene.createNetwork()
    await scene.createEndpoint('e1', first)
    expect(scene.driver.hasAddress(poolKey, first)).to.equal(true)
    expect(scene.driver.hasAddress(poolKey, second)).to.equal(false)
    expect(scene.driver.hasAddress('10.11.0.0/16', first)).to.equal(false)
    await scene.driver.deleteEndpoint('n1', 'e1')
    expect(scene.driver.hasAddress(poolKey, first)).to.equal(false)
    await scene.driver.stop()
  })
})
