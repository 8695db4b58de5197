import type { Cidr } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import { parsePoolKey } from '../../net/pool-key.ts'
import { engineSubnets } from '../added-subnets.ts'
import type { Endpoint, Network } from '../network-store.ts'
import type { RequestedPool, LinkLocation, PoolLease } from '../ports.ts'

/**
 * An orphan: an object that the plugin keeps for the engine and that nothing on this host uses. The
 * engine forgets to delete objects when it is killed, or when a call's connection breaks half way.
 *
 * What may be in use is no orphan: an endpoint whose link is in a sandbox, an address that no
 * network of ours handed out, a pool that another network driver may have.
 */
export type Orphan =
  /** An endpoint that was never joined, or that was left and not deleted. */
  | { readonly kind: 'endpoint-unjoined'; readonly networkId: string; readonly endpointId: string }
  /** A joined endpoint whose link is gone, usually together with the sandbox. */
  | { readonly kind: 'endpoint-gone'; readonly networkId: string; readonly endpointId: string }
  /** A joined endpoint whose link the engine never moved into the sandbox, or moved back. */
  | { readonly kind: 'endpoint-parked'; readonly networkId: string; readonly endpointId: string }
  /** A link in the host's namespace whose endpoint is not in the store. */
  | { readonly kind: 'link'; readonly networkId: string; readonly endpointId: string }
  /** A container's address without an endpoint. */
  | {
      readonly kind: 'address'
      readonly networkId: string
      readonly poolKey: string
      readonly ip: Ip
      readonly since: number
    }
  /** A pool that was requested and never used, or whose network was removed. */
  | { readonly kind: 'pool'; readonly poolKey: string; readonly since: number }
  /**
   * A network whose pools were all released, which the engine does when it removes one. They may
   * have been requested again since.
   */
  | { readonly kind: 'network'; readonly networkId: string }

export type OrphanKind = Orphan['kind']

/** The state of one network, as orphans are recognized by it. */
export interface NetworkSnapshot {
  readonly network: Network
  readonly endpoints: readonly Endpoint[]
  /** The overlay's links; null when they could not be read. */
  readonly links: ReadonlyMap<string, LinkLocation> | null
}

export interface OrphanSnapshot {
  readonly networks: readonly NetworkSnapshot[]
  readonly leases: readonly PoolLease[]
  readonly pools: readonly RequestedPool[]
  /** Pools whose network was removed before them, by key, with their `since`. */
  readonly danglingPools: ReadonlyMap<string, number>
}

export function findOrphans(snapshot: OrphanSnapshot): Orphan[] {
  return [
    ...snapshot.networks.flatMap((network) => orphansOf(network, snapshot)),
    ...snapshot.pools
      .filter((pool) => isOrphanPool(pool, snapshot))
      .map(({ poolKey, since }) => {
        return { kind: 'pool' as const, poolKey, since }
      }),
  ]
}

/** Unique, also among orphans of the same object at different times. */
export function orphanId(orphan: Orphan): string {
  return Object.values(orphan).join(' ')
}

function orphansOf(
  { network, endpoints, links }: NetworkSnapshot,
  { leases, pools }: OrphanSnapshot,
): Orphan[] {
  const { networkId, poolKeys } = network
  if (links === null) return []
  const kept = new Set(endpoints.flatMap(({ addresses }) => addresses.map(({ ip }) => ip)))
  const known = new Set(endpoints.map(({ endpointId }) => endpointId))
  const orphans: Orphan[] = []
  for (const endpoint of endpoints) {
    const kind = endpointKind(endpoint, links)
    if (kind !== null) orphans.push({ kind, networkId, endpointId: endpoint.endpointId })
  }
  for (const [endpointId, location] of links)
    if (location === 'hostNetns' && !known.has(endpointId))
      orphans.push({ kind: 'link', networkId, endpointId })
  for (const { poolKey, ip, since } of leases)
    if (poolKeys.includes(poolKey) && !kept.has(ip))
      orphans.push({ kind: 'address', networkId, poolKey, ip, since })
  const engines = engineSubnets(network).pools
  const own = pools.filter(
    (pool) =>
      pool.networkId === networkId && engines.includes(parsePoolKey(pool.poolKey)?.cidr as Cidr),
  )
  const isAttached = [...links.values()].includes('sandbox')
  if (poolKeys.length > 0 && !isAttached && own.length === 0)
    orphans.push({ kind: 'network', networkId })
  return orphans
}

/** A link in a sandbox may carry traffic, whatever the store says. */
function endpointKind(
  { endpointId, joined }: Endpoint,
  links: ReadonlyMap<string, LinkLocation>,
): 'endpoint-unjoined' | 'endpoint-gone' | 'endpoint-parked' | null {
  const location = links.get(endpointId)
  if (location === 'sandbox') return null
  if (!joined) return 'endpoint-unjoined'
  return location === 'hostNetns' ? 'endpoint-parked' : 'endpoint-gone'
}

/**
 * The engine requests a pool, then its gateway, then creates the network. A pool without a gateway
 * is one whose answer it never got; one with a gateway may be another network driver's, unless it
 * was ours.
 */
function isOrphanPool(
  pool: RequestedPool,
  { networks, leases, danglingPools }: OrphanSnapshot,
): boolean {
  const { poolKey, networkId, gateway, since, isShared } = pool
  if (!isShared) return false
  // Bound before its network was written, by a call that a crash cut short.
  if (networkId !== null) return !networks.some(({ network }) => network.networkId === networkId)
  const outlived = danglingPools.get(poolKey) === since
  const inUse = !outlived && leases.some((lease) => lease.poolKey === poolKey)
  return outlived || (gateway === null && !inUse)
}
