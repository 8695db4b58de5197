import { refusal } from '../../base/errors.ts'
import type { Ip } from '../../net/ip.ts'
import { isUsable } from '../../net/pool-geometry.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { IpamCluster } from '../ports.ts'

/**
 * The offset of an address that was asked for by name, or a refusal that says why no host can have
 * it.
 */
export function requireOffset(pool: LocalPool, ip: Ip): number {
  const offset = pool.offset(ip)
  if (offset !== null && isUsable(pool.geometry, offset)) return offset
  const from = pool.addressAt(pool.geometry.first)
  const to = pool.addressAt(pool.geometry.last)
  throw refusal(
    'ADDRESS_OUT_OF_POOL',
    `address ${ip} cannot be given to a host in pool ${pool.key}; choose one from ${from} to ${to}`,
  )
}

/**
 * Tells of offsets in our blocks why they are not to be handed out although no container here has
 * them: set aside, lent, a request is busy with them, or an endpoint elsewhere has them without
 * having asked.
 */
export function blockedOffsets(cluster: IpamCluster, pool: LocalPool): (offset: number) => boolean {
  return (offset) =>
    pool.isSetAside(offset) ||
    pool.busy.has(offset) ||
    cluster.holderOf(pool.key, pool.addressAt(offset)) !== null
}
