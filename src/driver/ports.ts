import type { Clock } from '../base/clock.ts'
import type { RoomFindings } from '../base/findings.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { EndpointLink, OverlayLinks } from '../dataplane/dataplane.ts'
import type { Cidr } from '../net/cidr.ts'
import type { EndpointClaim, Peer } from '../net/endpoint.ts'
import type { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Vni } from '../net/vni.ts'
import type { DriverStore, KnownOverlay, OverlayClaim } from './network-store.ts'

/** The cluster, as the driver needs it: our own records, and the overlays of others. */
export interface DriverCluster {
  readonly self: string
  putOverlay(overlay: OverlayClaim): void
  removeOverlay(overlayId: string): void
  putEndpoint(endpoint: EndpointClaim): void
  removeEndpoint(endpoint: EndpointClaim): void
  /** This host and each other that has not left, dead ones included. */
  hosts(): readonly Host[]
  /** Every overlay that another member has published, dead members' included. */
  overlays(): Iterable<KnownOverlay>
}

/** A member and its address on the underlay. */
export interface Host {
  readonly member: string
  readonly vtep: Ip
}

/** What a new network wants of its overlay's VNI. */
export interface VniWish {
  readonly overlayId: string
  readonly encrypted: boolean
  /** The one that it must be, where the user gave one. */
  readonly vni: Vni | null
  /** 32 random bits: where the search for a free one begins. */
  readonly start: number
  /** The VNIs of other overlays, as members publish them. */
  readonly avoid: readonly Vni[]
}

/** Why the cluster does not give a VNI; see `consensus/state`. */
export interface VniRefusal {
  readonly code: string
  /** The member and the overlay in the way. */
  readonly member?: string
  readonly overlay?: string
  readonly vni?: number
}

/** Rejects with QUORUM within that time, ms. */
type Timed<T> = (timeoutMs: number) => Promise<T>

/** What this member has of a pool of the cluster: blocks or parts with their grants. */
export interface AgreedParts {
  readonly pool: string
  /** The grant under which it holds the pool; null when it does not. */
  readonly held: number | null
  readonly blocks: readonly (readonly [index: number, grant: number])[]
}

/** Why a pool is not given; see `consensus/state`. */
export interface PoolRefusal {
  readonly code: string
  readonly member?: string
  readonly pool?: string
}

/** What the cluster agrees on about overlays, and pools that engines hand out from. */
export interface DriverAgreement {
  /** The lower half of a pool, or one part of its upper half; see net/pool-parts.ts. */
  holdParts(
    poolKey: string,
    lower: boolean,
  ): Timed<{ readonly ok: AgreedParts } | { readonly refused: PoolRefusal }>
  /** Lets go of a pool, unless it was held again since that grant. */
  releasePool(poolKey: string, grant: number): Timed<unknown>
  /** All pools that this member has something of. */
  holdings(): Timed<{ readonly pools: readonly AgreedParts[] }>
  /** Attaches this host to an overlay, whose VNI is the answer. */
  attachOverlay(
    wish: VniWish,
  ): Timed<{ readonly ok: { readonly vni: number } } | { readonly refused: VniRefusal }>
  /** Ends that, unless something was attached since that grant. */
  detachOverlay(overlayId: string, grant: number): Timed<unknown>
  /**
   * The overlays that this host is attached to, and its grant; `known`: whether the cluster has
   * this member.
   */
  attachedOverlays(): Timed<{
    readonly known: boolean
    readonly grant: number
    readonly overlays: readonly { overlayId: string; vni: number }[]
  }>
}

/** Whether a network can be on the other hosts, too, with the engines' own IPAM driver. */
export interface OtherHosts {
  /** Why this host's plugin cannot tell them of a network; null when it can. */
  readonly whyNoCopies: () => string | null
  /** A live member with a prefix, outside of the cluster, that overlaps that one. */
  readonly prefixUser: (cidr: Cidr) => { readonly member: string; readonly prefix: Cidr } | null
}

/** Our own IPAM driver, as the network driver needs it. */
export interface DriverPools {
  /** The key of the pool on this host with that prefix; null when it is not ours. */
  poolFor(addressSpace: string, pool: Cidr, overlay: string | null): string | null
  bindPool(poolKey: string, networkId: string): Promise<void>
  /**
   * Holds one more pool for the network that has the pool `like`, with its gateway. Refuses with
   * POOL_OVERLAP or POOL_IN_USE, fails with QUORUM.
   */
  holdPool(pool: Cidr, like: string): Promise<HeldPool>
  unbindPool(poolKey: string, networkId: string): Promise<void>
  /** The addresses of containers that this host handed out of its shared pools. */
  leases(): readonly PoolLease[]
  /** The pools that the engine has requested and not released on this host. */
  requestedPools(): readonly RequestedPool[]
  /** Frees an address; one that is free is fine. */
  freeLease(poolKey: string, ip: Ip): Promise<void>
  /** Releases a pool; one that is not requested is fine. */
  releasePool(poolKey: string): Promise<void>
}

/** A pool and its gateway, `ip/length`. */
export interface HeldPool {
  readonly pool: Cidr
  readonly poolKey: string
  readonly gateway: string
}

/** An address that this host handed out. `since` is wall clock, in milliseconds. */
export interface PoolLease {
  readonly poolKey: string
  readonly ip: Ip
  readonly since: number
}

/**
 * A pool that the engine has requested and not released. `since` is wall clock, in milliseconds.
 */
export interface RequestedPool {
  readonly poolKey: string
  /** The network that it belongs to. */
  readonly networkId: string | null
  readonly gateway: Ip | null
  readonly since: number
  /** Whether the cluster shares it. The others are assigned by a swarm. */
  readonly isShared: boolean
}

/**
 * The endpoints of other members. Peers that claim one address are sorted, the one that counts
 * first.
 */
export interface DriverPeers {
  withIp(vni: Vni, ip: Ip): readonly Peer[]
  withMac(vni: Vni, mac: Mac): readonly Peer[]
}

/**
 * Where the container's end of an endpoint's link is. The engine moves it out of the host's
 * namespace.
 */
export type LinkLocation = 'hostNetns' | 'sandbox'

/** The data plane, as the driver needs it. All verbs are idempotent. */
interface DriverDataplane {
  /** Creates the overlay's links and writes the rows of all known peers before it resolves. */
  attachOverlay(links: OverlayLinks): Promise<void>
  detachOverlay(overlayId: string): Promise<void>
  attachEndpoint(overlayId: string, link: EndpointLink): Promise<{ sourceName: string }>
  detachEndpoint(overlayId: string, endpointId: string): Promise<void>
  /** Overlays that have links in the kernel, ours by their mark. */
  overlays(): Promise<string[]>
  /** The endpoints of an overlay that have links in the kernel. */
  linkLocations(overlayId: string): Promise<ReadonlyMap<string, LinkLocation>>
}

/** Everything that the driver is built from. */
export interface DriverParts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly findings: RoomFindings
  readonly store: DriverStore
  readonly cluster: DriverCluster
  readonly agreement: DriverAgreement
  readonly otherHosts: OtherHosts
  readonly peers: DriverPeers
  readonly pools: DriverPools
  readonly dataplane: DriverDataplane
  readonly vtep: Ip
  readonly vxlanPort: number
  /** After how long something unused is released, in milliseconds. */
  readonly orphanGraceMs: number
  /**
   * Told when endpoints joined or left; a Join waits until this resolves, which it does soon. Never
   * rejects.
   */
  readonly endpointsChanged: () => Promise<void>
  /** Bytes that the underlay leaves for containers. */
  readonly mtuHere: (encrypted: boolean) => Promise<number>
  /** Makes this host able to encrypt. Refuses with UNSUPPORTED. */
  readonly ensureEncryption: () => Promise<void>
  /** A network was made or is gone. */
  readonly networksChanged: () => void
}
