import { withDeadline } from '../../base/deadline.ts'
import type { Ip } from '../../net/ip.ts'
import type { Context } from '../context.ts'
import { noAddress, requireHeld } from '../refusals.ts'
import { addressesBlocked } from './blocked.ts'
import { borrow } from './borrowing.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import { addressAt } from '../../net/pool-geometry.ts'
import type { Offer } from '../blocks/spares.ts'
import type { Supply } from '../blocks/supply.ts'

/** A round of questions that begins at the deadline is over by then, ms. */
const lastRoundMs = 2200

/**
 * Any address of the pool for a container: from our own blocks without a word to anybody, else from a new
 * block, else a single address that another member lends.
 */
export async function takeAny(
  context: Context,
  supply: Supply,
  pool: HeldPool,
  deadline: number,
): Promise<Ip> {
  for (;;) {
    requireHeld(pool)
    const offset = leaseOwn(context, pool)
    if (offset !== null) {
      await offset.written
      supply.keepStocked(pool)
      return addressAt(pool.geometry, offset.offset)
    }
    const borrowed = await supplied(context, supply, pool, deadline)
    if (borrowed !== null) return addressAt(pool.geometry, borrowed)
  }
}

/** Marks the next address as ours, at once; `written` resolves when that is on the disk. */
function leaseOwn(
  context: Context,
  pool: HeldPool,
): { offset: number; written: Promise<void> } | null {
  const { clock, store } = context
  const offset = pool.leases.next(pool.ranges, addressesBlocked(context, pool), clock.now())
  if (offset === null) return null
  const lease = { since: clock.wall(), kind: 'container', loan: false } as const
  const written = store.write([pool.lease(offset, lease)], () =>
    pool.unlet(offset, lease, undefined, clock.now()),
  )
  return { offset, written }
}

/**
 * Waits for a block, or for a borrowed address, whose offset is returned. Null: look again. Fails with
 * POOL_EXHAUSTED when there is nothing to be had.
 */
async function supplied(
  context: Context,
  supply: Supply,
  pool: HeldPool,
  deadline: number,
): Promise<number | null> {
  if (context.clock.now() >= deadline) throw noAddress(context, pool)
  pool.waiting++
  try {
    // The claim that runs may be another request's, with a later deadline than ours.
    const { blocks, offers } = await withDeadline(
      context.clock,
      Math.max(0, deadline - context.clock.now()) + lastRoundMs,
      `an address of pool ${pool.key}: the claim for a block`,
      supply.more(pool, deadline),
    )
    if (context.clock.now() < deadline) {
      const offset = await borrowOne(context, pool, offers, deadline)
      if (offset !== null) return offset
      // Other requests were quicker to take what was offered; there may be more.
      if (blocks > 0 || offers.length > 0) return null
    }
    throw noAddress(context, pool)
  } finally {
    pool.waiting--
  }
}

/** The first of the offered addresses that its owner still lends; null when none is left. */
async function borrowOne(
  context: Context,
  pool: HeldPool,
  offers: readonly Offer[],
  deadline: number,
): Promise<number | null> {
  const { clock } = context
  for (const { owner, offset } of offers) {
    if (clock.now() >= deadline) return null
    if (pool.wishes.has(offset) || pool.leases.get(offset) !== undefined) continue
    const lease = { since: clock.wall(), kind: 'container', loan: true } as const
    if ((await borrow(context, pool, offset, owner, lease, deadline)).got) return offset
  }
  return null
}
