import type { Ip } from '../net/ip.ts'
import type { Endpoint, Network } from './network-store.ts'
import type { RequestedPool, LinkLocation, PoolLease } from './ports.ts'

/**
 * Something that we keep for the engine and that, by all that can be seen on this host, nothing uses: the
 * engine forgets to say so when it is killed, or when a call's connection breaks and the call was only
 * half done. Pure: what is seen goes in, what nobody seems to use comes out.
 *
 * Nothing counts that may be in use: an endpoint whose link is in a container, an address that no network
 * of ours handed out, a pool that another network driver may have.
 */
export type Orphan =
  /** An endpoint that was never joined, or that was left and not deleted. */
  | { readonly kind: 'endpoint-unjoined'; readonly networkId: string; readonly endpointId: string }
  /** A joined endpoint whose link is gone: with the container's namespace, as a rule. */
  | { readonly kind: 'endpoint-gone'; readonly networkId: string; readonly endpointId: string }
  /** A joined endpoint whose link nobody has taken, or that came back from its container. */
  | { readonly kind: 'endpoint-parked'; readonly networkId: string; readonly endpointId: string }
  /** A link of ours that nobody has taken and that is of no endpoint in the books. */
  | { readonly kind: 'link'; readonly networkId: string; readonly endpointId: string }
  /** An address of a container that has no endpoint. */
  | {
      readonly kind: 'address'
      readonly networkId: string
      readonly poolKey: string
      readonly ip: Ip
      readonly since: number
    }
  /** A pool that was requested for a network that never came, or that outlived it. */
  | { readonly kind: 'pool'; readonly poolKey: string; readonly since: number }
  /**
   * A network whose pools were all released, which the engine does when it removes one. They may have been requested
   * again since.
   */
  | { readonly kind: 'network'; readonly networkId: string }

export type OrphanKind = Orphan['kind']

/** What is seen of one network. */
export interface NetworkSnapshot {
  readonly network: Network
  readonly endpoints: readonly Endpoint[]
  /** Where the links are that the overlay has; null when that could not be found out. */
  readonly links: ReadonlyMap<string, LinkLocation> | null
}

export interface OrphanSnapshot {
  readonly networks: readonly NetworkSnapshot[]
  readonly leases: readonly PoolLease[]
  readonly pools: readonly RequestedPool[]
  /** Pools whose network was removed, by their key, with the `since` that they had. */
  readonly danglingPools: ReadonlyMap<string, number>
}

export function findOrphans(seen: OrphanSnapshot): Orphan[] {
  return [
    ...seen.networks.flatMap((network) => orphansOf(network, seen)),
    ...seen.pools
      .filter((pool) => isOrphanPool(pool, seen))
      .map(({ poolKey, since }) => {
        return { kind: 'pool' as const, poolKey, since }
      }),
  ]
}

/** Tells an orphan from all others, also from the same thing in an earlier or a later life. */
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
  for (const [endpointId, place] of links)
    if (place === 'hostNetns' && !known.has(endpointId))
      orphans.push({ kind: 'link', networkId, endpointId })
  for (const { poolKey, ip, since } of leases)
    if (poolKeys.includes(poolKey) && !kept.has(ip))
      orphans.push({ kind: 'address', networkId, poolKey, ip, since })
  const own = pools.filter((pool) => pool.networkId === networkId)
  const isTaken = [...links.values()].includes('sandbox')
  if (poolKeys.length > 0 && !isTaken && own.length === 0)
    orphans.push({ kind: 'network', networkId })
  return orphans
}

/** A link in a container may carry traffic, whatever the books say. */
function endpointKind(
  { endpointId, joined }: Endpoint,
  links: ReadonlyMap<string, LinkLocation>,
): 'endpoint-unjoined' | 'endpoint-gone' | 'endpoint-parked' | null {
  const place = links.get(endpointId)
  if (place === 'sandbox') return null
  if (!joined) return 'endpoint-unjoined'
  return place === 'hostNetns' ? 'endpoint-parked' : 'endpoint-gone'
}

/**
 * The engine requests a pool, then its gateway, then creates the network. A pool without a gateway is one
 * whose answer it never got; one with a gateway may be another network driver's, unless it was ours.
 */
function isOrphanPool(pool: RequestedPool, { leases, danglingPools }: OrphanSnapshot): boolean {
  const { poolKey, networkId, gateway, since, isShared } = pool
  if (networkId !== null || !isShared) return false
  const outlived = danglingPools.get(poolKey) === since
  const inUse = !outlived && leases.some((lease) => lease.poolKey === poolKey)
  return outlived || (gateway === null && !inUse)
}
