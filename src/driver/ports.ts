import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Vni } from '../net/vni.ts'
import type { EndpointClaim, OverlayClaim } from './network.ts'
import type { KnownOverlay } from './overlay-parameters.ts'

/** The disk, as the driver needs it: a write is durable once it resolves. */
export interface DriverStore {
  entries<T>(table: string): [string, T][]
  write(changes: { table: string; key: string; value: unknown }[]): Promise<void>
}

/** The cluster, as the driver needs it: what we say, and what overlays there are. */
export interface DriverCluster {
  readonly self: string
  putOverlay(overlay: OverlayClaim): void
  removeOverlay(overlayId: string): void
  putEndpoint(endpoint: EndpointClaim): void
  removeEndpoint(endpoint: EndpointClaim): void
  /** Every overlay that another member has told of, dead members' too. */
  overlays(): Iterable<KnownOverlay>
}

/** Our own address management, as the driver needs it. */
export interface DriverPools {
  /** The key of the pool on this host with that prefix; null when it is not ours. */
  poolFor(addressSpace: string, pool: Cidr, overlay: string | null): string | null
  bindPool(poolKey: string, networkId: string): Promise<void>
  unbindPool(poolKey: string, networkId: string): Promise<void>
  /** The addresses of containers that this host handed out of its shared pools. */
  leases(): readonly PoolLease[]
  /** The pools that the engine holds on this host. */
  requestedPools(): readonly RequestedPool[]
  /** Frees an address; one that is free is fine. */
  freeLease(poolKey: string, ip: Ip): Promise<void>
  /** Lets go of a pool; one that is not held is fine. */
  releasePool(poolKey: string): Promise<void>
}

/** An address that this host handed out. `since` is wall clock, in milliseconds. */
export interface PoolLease {
  readonly poolKey: string
  readonly ip: Ip
  readonly since: number
}

/** A pool that the engine holds on this host. `since` is wall clock, in milliseconds. */
export interface RequestedPool {
  readonly poolKey: string
  /** The network that it belongs to. */
  readonly networkId: string | null
  readonly gateway: Ip | null
  readonly since: number
  /** Whether the cluster shares it. The others are a swarm's, which has books of its own. */
  readonly isShared: boolean
}

/** An endpoint of another member that claims an address. */
export interface Holder {
  readonly origin: string
  readonly endpointId: string
  readonly vtep: Ip
  readonly claimedAt: number
  readonly live: boolean
}

/** What the kernel must hold for an overlay. */
export interface DriverLinks {
  readonly overlayId: string
  readonly vni: Vni
  readonly mtu: number
  readonly vtep: Ip
  readonly port: number
  readonly gateways: readonly string[]
}

/** Where the container's end of an endpoint's link is: still or again in the host's namespace, or in a container. */
export type LinkLocation = 'hostNetns' | 'sandbox'

/** The data plane, as the driver needs it. All verbs are idempotent. */
export interface DriverDataplane {
  /** Builds the overlay's links and programs all known peers before it resolves. */
  attachOverlay(links: DriverLinks): Promise<void>
  detachOverlay(overlayId: string): Promise<void>
  attachEndpoint(
    overlayId: string,
    endpoint: {
      endpointId: string
      mac: Mac
      mtu: number
      ips: readonly Ip[]
      /** What the engine makes of the link, for when it has to be made anew. */
      inside?: { sandboxKey: string; addresses: readonly string[] } | undefined
    },
  ): Promise<{ sourceName: string }>
  detachEndpoint(overlayId: string, endpointId: string): Promise<void>
  /** Other members' endpoints that claim this address on this overlay. */
  holders(vni: Vni, ip: Ip): readonly Holder[]
  /** The same for a MAC address. */
  macHolders(vni: Vni, mac: Mac): readonly Holder[]
  /** Overlays that have links in the kernel, ours by their mark. */
  overlays(): Promise<string[]>
  /** The endpoints of an overlay that have links in the kernel. */
  linkLocations(overlayId: string): Promise<ReadonlyMap<string, LinkLocation>>
}

/** Everything that the driver is built from. */
export interface DriverParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly store: DriverStore
  readonly cluster: DriverCluster
  readonly pools: DriverPools
  readonly dataplane: DriverDataplane
  readonly vtep: Ip
  readonly vxlanPort: number
  /** After how long something is released that nothing uses, in milliseconds. */
  readonly orphanGraceMs: number
  /** Bytes that the underlay leaves for containers. */
  readonly mtuHere: () => Promise<number>
}
