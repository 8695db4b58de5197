import { addressAt, usableCount } from '../net/pool-geometry.ts'
import type { Duplicate } from './leases/duplicates.ts'
import type { Holdings } from './holdings.ts'
import type { LocalPool } from './pools/local-pool.ts'
import type { IpamPorts } from './ports.ts'

/** The room's state, as plain JSON for `/status`. */
export type IpamStatus = ReturnType<typeof statusOf>

export function statusOf(ports: IpamPorts, holdings: Holdings, conflicts: readonly Duplicate[]) {
  const { agreement, clock, cluster } = ports
  const { membership, pools } = holdings
  return {
    member: {
      name: cluster.self,
      id: agreement.id,
      registered: membership.isRegistered,
      /** Whether addresses may be handed out: the membership was renewed lately enough. */
      leaseValid: !membership.lease.isLapsed,
      lastFailure: membership.failure,
    },
    pools: pools.all().map((pool) => poolStatus(clock.now(), pool)),
    conflicts,
  }
}

/** One pool of this host, for people. */
function poolStatus(now: number, pool: LocalPool) {
  const { auto, networkId, reserved, subPool } = pool.row!
  const leases = [...pool.leases.entries()].sort((a, b) => a[0] - b[0])
  const { gateway, lent } = pool.agreed
  return {
    poolKey: pool.key,
    networkId,
    gateway,
    reserved,
    ipRange: subPool,
    auto,
    blockSize: pool.geometry.blockSize,
    blocks: {
      total: pool.geometry.blockCount,
      mine: [...pool.blocks.keys()].sort((a, b) => a - b),
      /** Given up here, and not agreed on yet. */
      releasing: pool.owed.blocks.length,
    },
    addresses: {
      /** That hosts may have at all, in use here, free here at once. */
      usable: usableCount(pool.geometry),
      used: leases.length,
      free: Math.max(0, pool.fresh(now)),
      /** Used ones that other members lent, and ones of our blocks that we lent. */
      borrowed: leases.filter(([, { loan }]) => loan !== null).length,
      lent: lent.length,
    },
    leases: leases.map(([offset, { kind, since, loan }]) => ({
      ip: addressAt(pool.geometry, offset),
      kind,
      since: new Date(since).toISOString(),
      borrowed: loan !== null,
    })),
  }
}
