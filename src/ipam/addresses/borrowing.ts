import type { Context } from '../context.ts'
import type { ClaimResult } from '../voting/claims.ts'
import { addressItem } from '../voting/items.ts'
import type { Rival } from '../voting/tally.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import type { Lease } from './lease-table.ts'

/** What came of it; when not, who has the address, or whose votes are lacking. */
type Borrowed =
  | { readonly got: true }
  | {
      readonly got: false
      readonly rival: Rival | null
      readonly shortage: ClaimResult['shortage']
    }

/**
 * Takes a single address out of another member's block: with the owner's consent, and a majority that knows of it, so that
 * whoever owns the block later keeps off it too. Kept only if it is `still` wanted when the votes are there. A wish for the
 * address that the caller has noted stays noted.
 */
export async function borrow(
  { claims, clock, giveBack, store }: Context,
  pool: HeldPool,
  offset: number,
  lender: string,
  lease: Lease,
  deadline: number,
  still: () => boolean = () => pool.held,
): Promise<Borrowed> {
  const items = [addressItem(pool.key, offset)]
  let unwanted: number | null = null
  const asked = pool.wishes.has(offset)
  pool.wishes.add(offset)
  try {
    const wish = { items, lender, deadline }
    const before = pool.leases.get(offset)
    const { won, lost, shortage } = await claims.claim(
      wish,
      (_, claim) => {
        if (still()) return [pool.lease(offset, lease)]
        unwanted = claim
        return []
      },
      () => pool.unlet(offset, lease, before, clock.now()),
    )
    if (won.length > 0 && unwanted === null) return { got: true }
    if (unwanted !== null) {
      await store.write(giveBack.note(items, unwanted))
      void giveBack.send()
    }
    return { got: false, rival: lost[0]?.rival ?? null, shortage }
  } finally {
    if (!asked) pool.wishes.delete(offset)
  }
}
