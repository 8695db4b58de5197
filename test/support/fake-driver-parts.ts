import type { AgreedClient } from '../../src/consensus/state/agreed-client.ts'
import { failure } from '../../src/base/errors.ts'
import { Findings } from '../../src/base/findings.ts'
import { type Logger, silentLogger } from '../../src/base/logger.ts'
import { seededRandom } from '../../src/base/random.ts'
import type { EndpointLink, OverlayLinks } from '../../src/dataplane/dataplane.ts'
import type { KnownOverlay, OverlayClaim } from '../../src/driver/network-store.ts'
import type {
  DriverParts,
  Host,
  LinkLocation,
  PoolLease,
  RequestedPool,
} from '../../src/driver/ports.ts'
import { type Cidr, cidrsOverlap } from '../../src/net/cidr.ts'
import type { EndpointClaim, Peer } from '../../src/net/endpoint.ts'
import { ipAt, ipWithLength } from '../../src/net/cidr.ts'
import { parseIp } from '../../src/net/ip.ts'
import type { Vni } from '../../src/net/vni.ts'
import { AgreedMachine } from './agreed-machine.ts'
import { VirtualClock } from './virtual-clock.ts'

/** After how long orphans are released there, in milliseconds of the virtual clock. */
export const orphanGraceMs = 60_000

/** The gateway of every pool there. */
const gatewayOfAll = parseIp('10.0.0.1')!

/** What the driver published and built, and what its neighbours answer. */
export interface DriverWorld {
  readonly disk: Map<string, Map<string, unknown>>
  readonly published: { overlays: Map<string, OverlayClaim>; endpoints: Map<string, EndpointClaim> }
  readonly kernel: Map<string, { links: OverlayLinks; endpoints: Map<string, LinkLocation> }>
  /** The endpoints' links as they were attached last. */
  readonly links: Map<string, EndpointLink>
  readonly knownOverlays: KnownOverlay[]
  readonly hosts: Host[]
  /** By VNI and address, or VNI and MAC address. */
  readonly peers: Map<string, Peer>
  readonly bound: Map<string, string>
  /** The pools that address management holds, and the addresses that it handed out. */
  readonly pools: Map<string, RequestedPool>
  leases: PoolLease[]
  readonly clock: VirtualClock
  /** The next call of this verb of the data plane or the disk fails. */
  failNext: string | null
  /** Overlays whose links cannot be read. */
  readonly unreadable: Set<string>
  mtuHere: number
  logger: Logger
  /** What the cluster agrees on, and whether no majority answers. */
  readonly agreed: AgreedMachine
  readonly agreement: AgreedClient
  isCutOff: boolean
  /** Why networks cannot be on other hosts with the engines' own IPAM. */
  whyNoCopies: string | null
  readonly prefixUsers: { readonly member: string; readonly prefix: Cidr }[]
}

/** A world in which the driver is alone, with pools of the address space `ours`. */
export function createDriverWorld(): DriverWorld {
  const agreed = new AgreedMachine('here', 'host-b')
  const world: DriverWorld = {
    disk: new Map(),
    published: { overlays: new Map(), endpoints: new Map() },
    kernel: new Map(),
    links: new Map(),
    knownOverlays: [],
    hosts: [{ member: 'here', vtep: parseIp('192.0.2.1')! }],
    peers: new Map(),
    bound: new Map(),
    pools: new Map(),
    leases: [],
    clock: new VirtualClock(),
    failNext: null,
    unreadable: new Set(),
    mtuHere: 1450,
    logger: silentLogger,
    agreed,
    agreement: agreed.client('here', () => world.isCutOff),
    isCutOff: false,
    whyNoCopies: null,
    prefixUsers: [],
  }
  return world
}

/** The parts of a driver that lives in `world`. A second call is the same host after a restart. */
export function driverPartsOf(world: DriverWorld): DriverParts {
  const step = (verb: string): void => {
    if (world.failNext !== verb) return
    world.failNext = null
    throw failure('KERNEL', `${verb} failed`)
  }
  const peersWith = (vni: Vni, address: string): Peer[] => {
    const peer = world.peers.get(`${vni} ${address}`)
    return peer === undefined ? [] : [peer]
  }
  return {
    clock: world.clock,
    logger: world.logger,
    findings: new Findings(world.clock, world.logger).room('driver'),
    vtep: parseIp('192.0.2.1')!,
    vxlanPort: 4789,
    mtuHere: async (encrypted) => world.mtuHere - (encrypted ? 60 : 0),
    ensureEncryption: async () => step('ensureEncryption'),
    networksChanged: () => {},
    orphanGraceMs,
    endpointsChanged: async () => {},
    random: seededRandom(1),
    agreement: world.agreement,
    otherHosts: {
      whyNoCopies: () => world.whyNoCopies,
      prefixUser: (cidr) =>
        world.prefixUsers.find(({ prefix }) => cidrsOverlap(prefix, cidr)) ?? null,
    },
    store: {
      entries: <T>(table: string) => [...((world.disk.get(table) ?? new Map()) as Map<string, T>)],
      write: async (changes) => {
        step('write')
        for (const { table, key, value } of changes) {
          const rows = world.disk.get(table) ?? new Map<string, unknown>()
          world.disk.set(table, rows)
          if (value === null) rows.delete(key)
          else rows.set(key, structuredClone(value))
        }
      },
    },
    cluster: {
      self: 'here',
      putOverlay: (overlay) => void world.published.overlays.set(overlay.overlayId, overlay),
      removeOverlay: (overlayId) => void world.published.overlays.delete(overlayId),
      putEndpoint: (endpoint) => void world.published.endpoints.set(endpoint.endpointId, endpoint),
      removeEndpoint: (endpoint) => void world.published.endpoints.delete(endpoint.endpointId),
      overlays: () => world.knownOverlays,
      hosts: () => world.hosts,
    },
    peers: { withIp: peersWith, withMac: peersWith },
    pools: {
      poolFor: (space, pool) => (space === 'ours' ? pool : null),
      bindPool: async (key, networkId) => {
        world.bound.set(key, networkId)
        const since = world.pools.get(key)?.since ?? world.clock.wall()
        world.pools.set(key, {
          poolKey: key,
          networkId,
          gateway: gatewayOfAll,
          since,
          isShared: true,
        })
      },
      holdPool: async (pool) => {
        step('holdPool')
        return { pool, poolKey: pool, gateway: ipWithLength(ipAt(pool, 1n), pool) }
      },
      unbindPool: async (key) => {
        world.bound.delete(key)
        const pool = world.pools.get(key)
        if (pool !== undefined) world.pools.set(key, { ...pool, networkId: null })
      },
      leases: () => world.leases,
      requestedPools: () => [...world.pools.values()],
      freeLease: async (poolKey, ip) => {
        step('freeLease')
        world.leases = world.leases.filter((lease) => lease.poolKey !== poolKey || lease.ip !== ip)
      },
      releasePool: async (poolKey) => {
        step('releasePool')
        world.pools.delete(poolKey)
        world.leases = world.leases.filter((lease) => lease.poolKey !== poolKey)
      },
    },
    dataplane: {
      attachOverlay: async (links) => {
        step('attachOverlay')
        const endpoints = world.kernel.get(links.overlayId)?.endpoints ?? new Map()
        world.kernel.set(links.overlayId, { links, endpoints })
      },
      detachOverlay: async (overlayId) => {
        step('detachOverlay')
        world.kernel.delete(overlayId)
      },
      attachEndpoint: async (overlayId, link) => {
        step('attachEndpoint')
        const { endpointId } = link
        world.links.set(endpointId, link)
        world.kernel.get(overlayId)!.endpoints.set(endpointId, 'hostNetns')
        return { sourceName: `tso-${endpointId}` }
      },
      detachEndpoint: async (overlayId, endpointId) => {
        step('detachEndpoint')
        world.kernel.get(overlayId)?.endpoints.delete(endpointId)
      },
      overlays: async () => [...world.kernel.keys()],
      linkLocations: async (overlayId) => {
        step('endpointsPresent')
        if (world.unreadable.has(overlayId)) throw failure('KERNEL', `${overlayId} cannot be read`)
        return world.kernel.get(overlayId)?.endpoints ?? new Map()
      },
    },
  }
}
