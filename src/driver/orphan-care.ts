import type { KeyedQueue } from '../base/keyed-queue.ts'
import type { NetworkStore } from './network-store.ts'
import { deleteEndpoint } from './endpoints.ts'
import { linksPresent } from './links-present.ts'
import {
  type Orphan,
  type OrphanSnapshot,
  type NetworkSnapshot,
  findOrphans,
  orphanId,
} from './orphan-rules.ts'
import type { DriverParts } from './ports.ts'

/** Looks at everything that orphans are found by. Pools that outlived their network and went are forgotten. */
export async function takeSnapshot(
  parts: DriverParts,
  books: NetworkStore,
): Promise<OrphanSnapshot> {
  const held = new Map(parts.pools.requestedPools().map(({ poolKey, since }) => [poolKey, since]))
  for (const [poolKey, since] of books.danglingPools())
    if (held.get(poolKey) !== since) await books.removeDanglingPool(poolKey)
  const networks: NetworkSnapshot[] = []
  for (const network of books.networks()) {
    // One overlay that cannot be read must not keep the others from being looked at.
    const links = await linksPresent(parts, network, 'looking for what nothing uses')
    // After the links: an endpoint that joins meanwhile must not look like a link without one.
    const endpoints = books.endpointsOf(network.networkId)
    networks.push({ network, endpoints, links })
  }
  const { pools } = parts
  return {
    networks,
    leases: pools.leases(),
    pools: pools.requestedPools(),
    danglingPools: books.danglingPools(),
  }
}

interface OrphanCare {
  readonly parts: DriverParts
  readonly books: NetworkStore
  readonly queue: KeyedQueue
  /** Runs a task in the queue of creating and removing networks. */
  readonly amongNetworks: (task: () => Promise<boolean>) => Promise<boolean>
  /** To be called in the queue of networks, and in that of this one. */
  readonly deleteNetwork: (networkId: string) => Promise<void>
  /** An endpoint of the network was released, in its queue. */
  readonly onEndpointReleased: (networkId: string) => void
}

/**
 * Releases an orphan in its network's queue, so that no call is under way, if it still is one there.
 * @returns whether it was.
 */
export function releaseOrphan(care: OrphanCare, orphan: Orphan): Promise<boolean> {
  const { queue, amongNetworks } = care
  const releaseNow = (): Promise<boolean> => releaseIfStillOne(care, orphan)
  if (orphan.kind === 'pool') return amongNetworks(releaseNow)
  const { kind, networkId } = orphan
  if (kind !== 'network') return queue.run(networkId, releaseNow)
  return amongNetworks(() => queue.run(networkId, releaseNow))
}

async function releaseIfStillOne(care: OrphanCare, orphan: Orphan): Promise<boolean> {
  const { parts, books, deleteNetwork, onEndpointReleased } = care
  const orphans = findOrphans(await takeSnapshot(parts, books)).map(orphanId)
  if (!orphans.includes(orphanId(orphan))) return false
  if (orphan.kind === 'pool') await releasePool(parts, books, orphan.poolKey)
  else if (orphan.kind === 'network') await deleteNetwork(orphan.networkId)
  else if (orphan.kind === 'address') await parts.pools.freeLease(orphan.poolKey, orphan.ip)
  else {
    await releaseEndpoint(parts, books, orphan)
    onEndpointReleased(orphan.networkId)
  }
  return true
}

async function releasePool(
  parts: DriverParts,
  books: NetworkStore,
  poolKey: string,
): Promise<void> {
  await parts.pools.releasePool(poolKey)
  await books.removeDanglingPool(poolKey)
}

/** With its addresses: the engine would have released them next. */
async function releaseEndpoint(
  parts: DriverParts,
  books: NetworkStore,
  { networkId, endpointId }: { networkId: string; endpointId: string },
): Promise<void> {
  const network = books.network(networkId)
  const endpoint = books.endpoint(networkId, endpointId)
  if (network === undefined) return
  if (endpoint === undefined) return parts.dataplane.detachEndpoint(network.overlayId, endpointId)
  await deleteEndpoint(parts, books, networkId, endpointId)
  for (const { ip } of endpoint.addresses)
    for (const poolKey of network.poolKeys) await parts.pools.freeLease(poolKey, ip)
}
