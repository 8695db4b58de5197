import { createHash } from 'node:crypto'
import type { Cluster } from './cluster/cluster.ts'
import type { Dataplane } from './dataplane/dataplane.ts'
import type { Reconciler } from './dataplane/reconciler.ts'
import type { EndpointClaim } from './driver/network.ts'
import type { DriverCluster, DriverPools, DriverWires } from './driver/ports.ts'
import type { Ipam } from './ipam/ipam.ts'

/** The engine's 64 hexadecimal digits are cut to 16 in records; 2^64 is enough within one overlay. */
const recordIdDigits = 16

/** An endpoint's id as records have it. */
export function recordEndpointId(endpointId: string): string {
  const head = endpointId.slice(0, recordIdDigits)
  if (/^[0-9a-f]{16}$/.test(head)) return head
  return createHash('sha256').update(endpointId).digest('hex').slice(0, recordIdDigits)
}

/** The cluster as the driver sees it. */
export function driverCluster(cluster: Cluster, self: string): DriverCluster {
  const recordOf = (claim: EndpointClaim) => ({
    kind: 'endpoint' as const,
    ...claim,
    endpointId: recordEndpointId(claim.endpointId),
  })
  return {
    self,
    putOverlay: (overlay) => cluster.put({ kind: 'overlay', ...overlay }),
    removeOverlay: (overlayId) => cluster.remove('overlay', overlayId),
    putEndpoint: (claim) => cluster.put(recordOf(claim)),
    removeEndpoint: (claim) =>
      cluster.remove('endpoint', `${claim.vni}/${recordEndpointId(claim.endpointId)}`),
    *overlays() {
      for (const { origin, self: own, record } of cluster.records('overlay', { hidden: true }))
        if (!own) yield { ...record, member: origin }
    },
  }
}

/** Our address management as the driver sees it. */
export function driverPools(ipam: Ipam): DriverPools {
  return {
    poolFor: (space, pool, overlay) => ipam.poolFor(pool, overlay ?? undefined, space),
    bindPool: (poolKey, networkId) => ipam.bindPool(poolKey, networkId),
    unbindPool: (poolKey, networkId) => ipam.unbindPool(poolKey, networkId),
  }
}

/** The data plane as the driver sees it. */
export function driverWires(reconciler: Reconciler, dataplane: Dataplane): DriverWires {
  return {
    attachOverlay: (links) => reconciler.attachOverlay(links),
    detachOverlay: (overlayId) => reconciler.detachOverlay(overlayId),
    attachEndpoint: (overlayId, endpoint) => reconciler.attachEndpoint(overlayId, endpoint),
    detachEndpoint: (overlayId, endpointId) => reconciler.detachEndpoint(overlayId, endpointId),
    holders: (vni, ip) => reconciler.holders(vni, ip),
    overlaysPresent: () => dataplane.overlays(),
    endpointsPresent: async (overlayId) => {
      const actual = await dataplane.dump(overlayId)
      if (actual === null) return null
      return new Map(
        actual.endpoints.map(({ endpointId, parked }) => [endpointId, parked ? 'parked' : 'taken']),
      )
    },
  }
}
