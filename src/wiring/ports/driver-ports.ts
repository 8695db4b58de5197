import { createHash } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import { endpointRecord } from '../../cluster/wire/endpoint-record.ts'
import type { AgreedClient } from '../../consensus/state/agreed-client.ts'
import type { Driver } from '../../driver/driver.ts'
import type { DriverAgreement, DriverCluster, DriverPools, HeldPool } from '../../driver/ports.ts'
import type { Ipam } from '../../ipam/ipam.ts'
import { addressSpaces, parsePoolId, poolIdOf } from '../../net/pool-id.ts'
import { type Cidr, cidrBits } from '../../net/cidr.ts'
import type { EndpointClaim } from '../../net/endpoint.ts'
import { parsePoolKey, poolKeyOf } from '../../net/pool-key.ts'
import { overlayRecord } from '../records.ts'
import type { Propagation } from './propagation.ts'

/** The calls of the engine that concern addresses. */
type IpamHandlers = Pick<Ipam, 'requestPool' | 'releasePool' | 'requestAddress' | 'releaseAddress'>

/**
 * The engine's 64 hexadecimal digits are cut to 16 in records; 2^64 is enough within one overlay.
 */
const recordIdDigits = 16

/** An endpoint's id in records. */
export function recordEndpointId(endpointId: string): string {
  const head = endpointId.slice(0, recordIdDigits)
  if (/^[0-9a-f]{16}$/.test(head)) return head
  return createHash('sha256').update(endpointId).digest('hex').slice(0, recordIdDigits)
}

/** The cluster as the driver sees it. */
export function driverCluster(
  cluster: Cluster,
  { member: self, vxlanPort }: { readonly member: string; readonly vxlanPort: number },
  propagation: Propagation,
): DriverCluster {
  const recordOf = (claim: EndpointClaim) => ({
    ...claim,
    endpointId: recordEndpointId(claim.endpointId),
  })
  return {
    self,
    putOverlay: (overlay) => cluster.put(overlayRecord, { ...overlay, port: vxlanPort }),
    removeOverlay: (overlayId) => cluster.remove(overlayRecord, overlayId),
    putEndpoint: (claim) => {
      cluster.put(endpointRecord, recordOf(claim))
      propagation.written(recordOf(claim))
    },
    removeEndpoint: (claim) =>
      cluster.remove(endpointRecord, `${claim.vni}/${recordEndpointId(claim.endpointId)}`),
    hosts: () =>
      cluster.members().flatMap(({ name, address, state }) => {
        return state === 'left' ? [] : [{ member: name, vtep: address }]
      }),
    *overlays() {
      for (const placed of cluster.records(overlayRecord, { hidden: true }))
        if (!placed.self) yield { ...placed.record, member: placed.origin }
    },
  }
}

/** What is agreed on, as the driver sees it; commands go under this member's identity. */
export function driverAgreement(
  clock: Clock,
  ipam: Pick<Ipam, 'submit'>,
  agreed: AgreedClient,
): DriverAgreement {
  return {
    attachOverlay: (wish) => (timeoutMs) =>
      ipam.submit(
        `a VNI for overlay "${wish.overlayId}"`,
        clock.now() + timeoutMs,
        agreed.attachOverlay(wish),
      ),
    holdParts: (poolKey, lower) => (timeoutMs) =>
      ipam.submit(`pool ${poolKey}`, clock.now() + timeoutMs, agreed.holdParts(poolKey, lower)),
    releasePool: (poolKey, grant) => agreed.releasePool(poolKey, grant),
    holdings: () => agreed.holdings(),
    detachOverlay: (overlayId, grant) => agreed.detachOverlay(overlayId, grant),
    attachedOverlays: () => agreed.attachedOverlays(),
  }
}

/** Our IPAM as the driver sees it. */
export function driverPools(ipam: Ipam): DriverPools {
  return {
    poolFor: (space, pool, overlay) => ipam.bindings.poolFor(pool, overlay ?? undefined, space),
    bindPool: (poolKey, networkId) => ipam.bindings.bindPool(poolKey, networkId),
    holdPool: (pool, like) => holdPool(ipam, pool, like),
    unbindPool: (poolKey, networkId) => ipam.bindings.unbindPool(poolKey, networkId),
    leases: () =>
      ipam.bindings
        .leases()
        .filter(({ kind, poolKey }) => kind === 'container' && isShared(poolKey)),
    requestedPools: () =>
      ipam.bindings.heldPools().map((pool) => ({ ...pool, isShared: isShared(pool.poolKey) })),
    freeLease: (poolKey, ip) => ipam.bindings.freeLease(poolKey, ip),
    releasePool: async (poolKey) => {
      const name = parsePoolKey(poolKey)
      if (name !== null) await ipam.releasePool(poolIdOf(name))
    },
  }
}

/** The engine's address calls. An address that an endpoint has is not released. */
export function ipamHandlers(ipam: Ipam, driver: Driver): IpamHandlers {
  return {
    requestPool: (wish) => ipam.requestPool(wish),
    releasePool: (poolId) => ipam.releasePool(poolId),
    requestAddress: (wish) => ipam.requestAddress(wish),
    releaseAddress: async (call) => {
      const name = parsePoolId(call.poolId)
      const poolKey = name?.kind === 'shared' ? poolKeyOf(name) : null
      if (poolKey !== null && driver.hasAddress(poolKey, call.address)) return
      await ipam.releaseAddress(call)
    },
  }
}

/** As the engine does; what was broken off between two of the steps goes on. */
async function holdPool(ipam: Ipam, pool: Cidr, like: string): Promise<HeldPool> {
  const name = { ...parsePoolKey(like)!, cidr: pool }
  const poolKey = poolKeyOf(name)
  const held = ipam.bindings.heldPools()
  const networkOf = (key: string) => held.find((one) => one.poolKey === key)?.networkId
  const found = networkOf(poolKey)
  if (found === undefined || (found !== null && found !== networkOf(like))) {
    const options: Record<string, string> = name.overlay === null ? {} : { overlay: name.overlay }
    const wish = { pool, subPool: null, options, ipv6: cidrBits(pool) === 128 }
    await ipam.requestPool({ ...wish, space: addressSpaces.local })
  }
  const poolId = poolIdOf(name)
  const gateway = await ipam.requestAddress({ poolId, address: null, gateway: true })
  return { pool, poolKey, gateway }
}

function isShared(poolKey: string): boolean {
  return parsePoolKey(poolKey)?.kind === 'shared'
}
