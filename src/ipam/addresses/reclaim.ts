import { messageOf } from '../../base/errors.ts'
import type { Ip } from '../../net/ip.ts'
import type { Context } from '../context.ts'
import { addressItem, blockItem, poolItem } from '../voting/items.ts'
import { nameOfHolder } from '../voting/roster.ts'
import { borrow } from './borrowing.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import type { Lease } from './lease-table.ts'
import { addressAt, blockOf } from '../pools/pool-geometry.ts'
import { register } from '../pools/pool-requests.ts'
import type { Supply } from '../blocks/supply.ts'

/** At one step this many blocks are claimed again; the rest at the next. */
const blocksAtOnce = 8

/** An address that a container here and somebody else have. */
export interface Conflict {
  readonly poolKey: string
  readonly ip: Ip
  readonly member: string
}

/**
 * After a new roster: blocks that it does not know as ours are not ours any more. That happens to a member that was forgotten,
 * and to one whose cluster gave way to another. Their addresses stay with their containers; `reclaim` asks for them.
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
    logger.warn('could not note the loss of blocks', { error: messageOf(error) })
  })
}

/**
 * Gets votes for what containers here have and no vote stands for: the block, or each address from the one who has
 * the block now. What somebody else uses too is returned as a conflict.
 */
export async function reclaim(context: Context, supply: Supply): Promise<Conflict[]> {
  const conflicts: Conflict[] = []
  if (!context.seat.seated || context.seat.sealed) return conflicts
  for (const pool of context.shelf.allHeld()) {
    if (pool.name.kind !== 'shared') continue
    await registerAgain(context, pool)
    let tries = blocksAtOnce
    for (const [index, offsets] of unbacked(context, pool)) {
      if (tries-- === 0) break
      conflicts.push(...(await reclaimBlock(context, supply, pool, index, offsets)))
    }
    conflicts.push(...doubled(context, pool))
  }
  return conflicts
}

/** By block the leased offsets that neither our block nor a loan stands for. */
function unbacked({ seat }: Context, pool: HeldPool): Map<number, number[]> {
  const byBlock = new Map<number, number[]>()
  for (const [offset, lease] of pool.leases.entries()) {
    if (pool.ownsOffset(offset) || isBackedLoan(seat, pool, offset, lease)) continue
    const index = blockOf(pool.geometry, offset)
    byBlock.set(index, [...(byBlock.get(index) ?? []), offset])
  }
  return byBlock
}

function isBackedLoan(
  seat: Context['seat'],
  pool: HeldPool,
  offset: number,
  { loan }: Lease,
): boolean {
  return loan && seat.book.holders(addressItem(pool.key, offset)).has(seat.holder)
}

async function reclaimBlock(
  context: Context,
  supply: Supply,
  pool: HeldPool,
  index: number,
  offsets: readonly number[],
): Promise<Conflict[]> {
  const { clock, seat, surroundings, wire } = context
  let owner = surroundings.owners(pool.key).get(index)?.owner
  if (owner === undefined) {
    const { won, lost } = await supply.claim(pool, [index], clock.now())
    const rival = lost[0]?.rival?.holder
    if (won.length > 0 || rival === undefined || rival === seat.holder) return []
    owner = nameOfHolder(rival)
  }
  const conflicts: Conflict[] = []
  for (const offset of offsets) {
    const lease = pool.leases.get(offset)
    if (lease === undefined || pool.wishes.has(offset) || !wire.states().has(owner)) continue
    const loan = { ...lease, loan: true }
    const still = (): boolean => pool.held && pool.leases.get(offset) === lease
    const borrowed = await borrow(context, pool, offset, owner, loan, clock.now(), still)
    if (borrowed.got || borrowed.rival === null) continue
    const member = nameOfHolder(borrowed.rival.holder)
    conflicts.push({ poolKey: pool.key, ip: addressAt(pool.geometry, offset), member })
  }
  return conflicts
}

/** Addresses in our own blocks that a container here has and that are lent as well. */
function doubled({ seat }: Context, pool: HeldPool): Conflict[] {
  const conflicts: Conflict[] = []
  for (const [offset] of pool.leases.entries()) {
    const other = seat.book.otherHolder(addressItem(pool.key, offset), seat.holder)
    if (other === null || !pool.ownsOffset(offset)) continue
    const ip = addressAt(pool.geometry, offset)
    conflicts.push({ poolKey: pool.key, ip, member: nameOfHolder(other) })
  }
  return conflicts
}

/** The pool itself: a new roster may not know that we hold it. */
async function registerAgain(context: Context, pool: HeldPool): Promise<void> {
  const { logger, seat } = context
  if (seat.book.holders(poolItem(pool.key)).has(seat.holder)) return
  await register(context, pool.name).catch((error: unknown) => {
    logger.warn('a pool of this host clashes with another', {
      pool: pool.key,
      error: messageOf(error),
    })
  })
}
