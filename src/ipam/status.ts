import { addressAt, usableCount } from '../net/pool-geometry.ts'
import type { Duplicate } from './leases/duplicates.ts'
import type { Holdings } from './holdings.ts'
import type { LocalPool } from './pools/local-pool.ts'
import type { IpamPorts } from './ports.ts'

/** The room's state, as plain JSON for `/status`. */
export type IpamStatus = ReturnType<typeof statusOf>

export function statusOf(ports: IpamPorts, holdings: Holdings, conflicts: readonly Duplicate[]) {
  const { membership, pools } = holdings
  return {
    member: {
      name: ports.cluster.self,
      id: ports.agreement.id,
      registered: membership.isRegistered,
      /** Whether addresses may be handed out: the membership was renewed lately enough. */
      leaseValid: !membership.isLapsed,
      lastFailure: membership.failure,
    },
    pools: [...pools.values()].map((pool) => poolStatus(ports.clock.now(), pool)),
    conflicts,
  }
}

function poolStatus(now: number, pool: LocalPool) {
  const { auto, networkId, reserved, subPool } = pool.row!
  const { geometry } = pool
  const leases = [...pool.leases.entries()].sort((a, b) => a[0] - b[0])
  return {
    poolKey: pool.key,
    networkId,
    gateway: pool.agreed.gateway,
    reserved,
    ipRange: subPool,
    auto,
    blockSize: geometry.blockSize,
    blocks: {
      total: geometry.blockCount,
      mine: [...pool.blocks.keys()].sort((a, b) => a - b),
      /** Given up here, and not agreed on yet. */
      releasing: pool.owed.blocks.length,
    },
    addresses: {
      /** That hosts may have at all, in use here, free here at once. */
      usable: usableCount(geometry),
      used: leases.length,
      free: Math.max(0, pool.fresh(now)),
      /** Used ones that other members lent, and ones of our blocks that we lent. */
      borrowed: leases.filter(([, { loan }]) => loan !== null).length,
      lent: pool.agreed.lent.length,
    },
    leases: leases.map(([offset, { kind, since, loan }]) => ({
      ip: addressAt(geometry, offset),
      kind,
      since: new Date(since).toISOString(),
      borrowed: loan !== null,
    })),
  }
}
