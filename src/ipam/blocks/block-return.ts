import type { Context } from '../context.ts'
import type { StoreChange } from '../ports.ts'
import { blockItem } from '../voting/items.ts'
import type { HeldPool } from '../pools/held-pool.ts'

/**
 * Gives blocks back to the cluster: those of `indices` that nobody uses, neither a container here nor a member that we
 * lent an address to. Resolves with the blocks that were let go, when that is on the disk.
 */
export async function letGo(
  context: Context,
  pool: HeldPool,
  indices: readonly number[],
): Promise<number[]> {
  const { claims, cluster, giveBack, store, surroundings } = context
  const claim = await claims.number()
  const changes: StoreChange[] = []
  const freed = idleBlocks(context, pool).filter((index) => indices.includes(index))
  if (freed.length === 0) return []
  for (const index of freed) changes.push(pool.disown(index))
  changes.push(
    ...giveBack.note(
      freed.map((index) => blockItem(pool.key, index)),
      claim,
    ),
  )
  for (const index of freed) cluster.withdrawBlock({ poolKey: pool.key, index })
  surroundings.changed()
  await store.write(changes)
  void giveBack.send()
  return freed
}

/** Our blocks of the pool that nobody uses. */
export function idleBlocks({ seat }: Context, pool: HeldPool): number[] {
  const used = pool.usedBlocks()
  return [...pool.blocks().keys()].filter(
    (index) =>
      !used.has(index) &&
      seat.book.addressesIn(blockItem(pool.key, index), seat.holder).length === 0,
  )
}
