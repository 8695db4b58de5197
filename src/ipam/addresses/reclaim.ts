import { isBug, messageOf, OverlayError } from '../../base/errors.ts'
import { below } from '../../base/random.ts'
import type { Context } from '../context.ts'
import { addressItem, blockItem, poolItem } from '../voting/items.ts'
import { nameOfHolder } from '../voting/roster.ts'
import { borrow } from './borrowing.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import type { Conflicts } from './conflicts.ts'
import { blockOf } from '../../net/pool-geometry.ts'
import { register } from '../pools/pool-requests.ts'
import type { Supply } from '../blocks/supply.ts'

/** At one step the owners of this many blocks are asked for the addresses in them, of others at the next. */
const blocksAtOnce = 8

/**
 * After a new roster, and at a start, since the last run may have ended in between: blocks that the roster does not know as
 * ours are not ours any more. That happens to a member that was forgotten, and to one whose cluster gave way to another.
 * Their addresses stay with their containers; `reclaim` asks for them.
 */
export function dropLostBlocks(context: Context): void {
  const { cluster, logger, seat, shelf, store, surroundings } = context
  const changes = []
  for (const pool of shelf.all()) {
    for (const index of pool.blocks().keys()) {
      if (seat.book.holders(blockItem(pool.key, index)).has(seat.holder)) continue
      changes.push(pool.disown(index))
      cluster.withdrawBlock({ poolKey: pool.key, index })
      logger.warn('a block is not ours any more: we were left out of the cluster for a time', {
        pool: pool.key,
        block: index,
      })
    }
  }
  if (changes.length === 0) return
  surroundings.changed()
  store.write(changes).catch((error: unknown) => {
    if (isBug(error)) throw error
    logger.warn('could not note the loss of blocks', { error: messageOf(error) })
  })
}

/**
 * Gets votes for what containers here have and no vote stands for: the block, or each address from the one who has
 * the block now. What somebody else uses too is a conflict.
 */
export async function reclaim(
  context: Context,
  supply: Supply,
  conflicts: Conflicts,
): Promise<void> {
  if (!context.seat.seated || context.seat.sealed) return
  for (const pool of context.shelf.allHeld()) {
    if (pool.name.kind !== 'shared') continue
    await registerAgain(context, conflicts, pool)
    const blocks = await claimBlocks(context, supply, pool, unbacked(context, pool))
    const first = blocks.length === 0 ? 0 : below(context.random, blocks.length)
    for (let i = 0; i < Math.min(blocks.length, blocksAtOnce); i++) {
      const { owner, offsets } = blocks[(first + i) % blocks.length]!
      await askOwner(context, conflicts, pool, owner, offsets)
    }
  }
}

/** By block the leased offsets that neither our block nor a loan stands for. */
function unbacked({ seat }: Context, pool: HeldPool): Map<number, number[]> {
  const byBlock = new Map<number, number[]>()
  for (const [offset, { loan }] of pool.leases.entries()) {
    const lent = loan && seat.book.holders(addressItem(pool.key, offset)).has(seat.holder)
    if (lent || pool.ownsOffset(offset)) continue
    const index = blockOf(pool.geometry, offset)
    byBlock.set(index, [...(byBlock.get(index) ?? []), offset])
  }
  return byBlock
}

/** Takes those blocks that nobody has; the others, with who seems to own them. */
async function claimBlocks(
  { clock, seat, surroundings }: Context,
  supply: Supply,
  pool: HeldPool,
  unbacked: ReadonlyMap<number, number[]>,
): Promise<{ owner: string; offsets: number[] }[]> {
  const owners = new Map<number, string>()
  for (const [index, { owner }] of surroundings.owners(pool.key)) owners.set(index, owner)
  const unowned = [...unbacked.keys()].filter((index) => !owners.has(index))
  const { lost } =
    unowned.length === 0 ? { lost: [] } : await supply.claim(pool, unowned, clock.now())
  for (const { item, rival } of lost) {
    if (rival !== null && rival.holder !== seat.holder)
      owners.set(item.number, nameOfHolder(rival.holder))
  }
  return [...unbacked].flatMap(([index, offsets]) => {
    const owner = owners.get(index)
    return owner === undefined ? [] : [{ owner, offsets }]
  })
}

async function askOwner(
  context: Context,
  conflicts: Conflicts,
  pool: HeldPool,
  owner: string,
  offsets: readonly number[],
): Promise<void> {
  const { clock, wire } = context
  for (const offset of offsets) {
    const lease = pool.leases.get(offset)
    if (lease === undefined || pool.wishes.has(offset) || !wire.states().has(owner)) continue
    const loan = { ...lease, loan: true }
    const still = (): boolean => pool.held && pool.leases.get(offset) === lease
    const borrowed = await borrow(context, pool, offset, owner, loan, clock.now(), still)
    if (borrowed.got || borrowed.rival === null) continue
    conflicts.doubt(pool, offset, lease, nameOfHolder(borrowed.rival.holder))
  }
}

/** The pool itself: a new roster may not know that we hold it. */
async function registerAgain(
  context: Context,
  conflicts: Conflicts,
  pool: HeldPool,
): Promise<void> {
  if (context.seat.book.holders(poolItem(pool.key)).has(context.seat.holder)) return
  await register(context, pool.name).then(
    () => conflicts.clash(pool.key, null),
    (error: unknown) => {
      const refused = error instanceof OverlayError && error.kind === 'refusal'
      if (!refused) throw error
      conflicts.clash(pool.key, error.message)
    },
  )
}
