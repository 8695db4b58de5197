import type { Context } from '../context.ts'
import { addressItem } from '../voting/items.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import { addressAt } from '../../net/pool-geometry.ts'

/**
 * Tells of offsets in our blocks why they are not to be handed out although no container here has them: set aside, asked for by
 * another request at this moment, lent to another member, or published as an endpoint's by somebody who did not ask us.
 */
export function addressesBlocked(
  { cluster, seat, surroundings }: Context,
  pool: HeldPool,
): (offset: number) => boolean {
  const reserved = surroundings.reserved(pool)
  return (offset) =>
    reserved.has(offset) ||
    pool.wishes.has(offset) ||
    seat.book.otherHolder(addressItem(pool.key, offset), seat.holder) !== null ||
    cluster.holderOf(pool.key, addressAt(pool.geometry, offset)) !== null
}
