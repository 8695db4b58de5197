import type { Ip } from '../../net/ip.ts'
import type { Context } from '../context.ts'
import { poolExhausted, requireHeld } from '../refusals.ts'
import { addressesBlocked } from './blocked.ts'
import { borrow } from './borrowing.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import { addressAt } from '../pools/pool-geometry.ts'
import type { Supply } from '../blocks/supply.ts'

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
  const written = store.write([pool.lease(offset, lease)]).catch((error: unknown) => {
    pool.unlease(offset, clock.now())
    throw error
  })
  return { offset, written }
}

/** Waits for a block; null when there is one. Else the offset of a borrowed address, or POOL_EXHAUSTED. */
async function supplied(
  context: Context,
  supply: Supply,
  pool: HeldPool,
  deadline: number,
): Promise<number | null> {
  pool.waiting++
  try {
    const { blocks, offers } = await supply.more(pool, deadline)
    if (blocks > 0 && context.clock.now() < deadline) return null
    for (const { owner, offset } of offers) {
      if (pool.wishes.has(offset) || pool.leases.get(offset) !== undefined) continue
      if (context.clock.now() >= deadline) break
      const lease = { since: context.clock.wall(), kind: 'container', loan: true } as const
      if ((await borrow(context, pool, offset, owner, lease, deadline)).got) return offset
    }
    throw poolExhausted(context, pool)
  } finally {
    pool.waiting--
  }
}
