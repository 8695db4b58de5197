import type { Ip } from '../../net/ip.ts'
import { type Context, publishPool } from '../context.ts'
import type { StoreChange } from '../ports.ts'
import { addressItem, blockItem, type Item, poolItem } from '../voting/items.ts'
import { idleBlocks } from '../blocks/block-return.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import { unreserve } from './reserved.ts'

/** Frees an address that this host handed out. One that it did not is fine, once it is on the disk that it is free. */
export async function freeAddress(context: Context, pool: HeldPool, ip: Ip): Promise<void> {
  const { claims, clock, giveBack, store } = context
  const offset = pool.offset(ip)
  const lease = offset === null ? undefined : pool.leases.get(offset)
  const claim = lease?.loan === true ? await claims.number() : 0
  const changes = unreserve(context, pool, ip)
  if (offset !== null && lease !== undefined && pool.leases.get(offset) === lease) {
    const lent: Item[] = lease.loan ? [addressItem(pool.key, offset)] : []
    changes.push(pool.unlease(offset, clock.now()), ...giveBack.note(lent, claim))
  }
  await store.write(changes)
  if (claim > 0) void giveBack.send()
}

/**
 * Lets go of a pool on this host with everything in it: addresses, blocks, the pool's record. Blocks with addresses that
 * others borrowed stay ours until those are back.
 */
export async function freePool(context: Context, pool: HeldPool): Promise<void> {
  const { claims, clock, cluster, giveBack, store } = context
  const claim = await claims.number()
  if (!pool.held) return store.durable()
  const given: Item[] = [poolItem(pool.key)]
  const changes: StoreChange[] = [pool.set(null)]
  for (const [offset, { loan }] of pool.leases.entries()) {
    if (loan) given.push(addressItem(pool.key, offset))
    changes.push(pool.unlease(offset, clock.now()))
  }
  const idle = idleBlocks(context, pool)
  for (const index of idle) {
    changes.push(pool.disown(index))
    given.push(blockItem(pool.key, index))
    cluster.withdrawBlock({ poolKey: pool.key, index })
  }
  changes.push(...giveBack.note(given, claim))
  publishPool(context, pool)
  await store.write(changes)
  void giveBack.send()
}
