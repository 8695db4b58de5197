import { poolKeyOf } from '../net/pool-key.ts'
import type { Ip } from '../net/ip.ts'
import { addressesBlocked } from './addresses/blocked.ts'
import type { Context } from './context.ts'
import type { HeldPool } from './pools/held-pool.ts'
import { nameOfWish, type PoolWish } from './pools/pool-requests.ts'
import { requireHeld } from './refusals.ts'
import type { Upkeep } from './upkeep.ts'

/*
 * What a request may wait for after a start, before it begins. What this host has on its disk it answers with: a pool or an
 * address that it holds, the gateway that it knows, and what is let go, at once; an address of a block of its own, unless the
 * others may say within a moment that the block is not ours any more (`RollCall`), or must say so (`Fence`). The rest cannot be
 * had without others, who may need a moment to appear.
 */

/**
 * A pool that is new here waits until this long after a start to learn what pools the others have, ms; each does so on
 * a host that was never in a cluster. Otherwise it could get another gateway than theirs.
 */
const syncMs = 2500
const syncPollMs = 50

/** Before an address of a shared pool is handed out. Fails with NO_MAJORITY; nobody is asked after `deadline`, on our clock, ms. */
export async function awaitTrust(
  { fence, rollCall }: Upkeep,
  pool: HeldPool,
  ip: Ip | null,
  deadline: number,
): Promise<void> {
  if (isLeased(pool, ip)) return
  await rollCall.trust()
  await fence.pass(`an address of pool ${pool.key}`, deadline)
}

/** Whether we have just started, and others who may appear yet are needed for that address. */
export function needsOthers({ context, rollCall }: Upkeep, pool: HeldPool, ip: Ip | null): boolean {
  return pool.held && !rollCall.over && !isLeased(pool, ip) && !hasOwn(context, pool, ip)
}

/** Before a pool is held. */
export async function awaitPools(upkeep: Upkeep, wish: PoolWish): Promise<void> {
  const { context } = upkeep
  const key = wish.pool === null ? null : poolKeyOf(nameOfWish(context, wish, wish.pool))
  if (key === null || context.shelf.held(key) === undefined) await sync(upkeep)
}

/** Before a gateway is given. */
export async function awaitGateways(upkeep: Upkeep, pool: HeldPool): Promise<void> {
  if (pool.row!.gateway !== null) return
  await sync(upkeep)
  requireHeld(pool)
}

async function sync({ context, rollCall }: Upkeep): Promise<void> {
  const { clock, cluster, seat, wire } = context
  const until = (seat.roster === null ? clock.now() : rollCall.began) + syncMs
  while (!cluster.synced() && !rollCall.deserted && clock.now() < until)
    await wire.pause(syncPollMs)
}

/** Whether a container here has the very address, so that there is nothing to hand out. */
function isLeased(pool: HeldPool, ip: Ip | null): boolean {
  const offset = ip === null ? null : pool.offset(ip)
  return offset !== null && pool.leases.get(offset) !== undefined
}

/** Whether a block of ours has what is asked for. */
function hasOwn(context: Context, pool: HeldPool, ip: Ip | null): boolean {
  if (ip !== null) {
    const offset = pool.offset(ip)
    return offset !== null && pool.ownsOffset(offset)
  }
  const blocked = addressesBlocked(context, pool)
  return pool.leases.next(pool.ranges, blocked, context.clock.now()) !== null
}
