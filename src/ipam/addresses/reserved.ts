import type { Ip } from '../../net/ip.ts'
import { type Context, publishPool } from '../context.ts'
import type { StoreChange } from '../ports.ts'
import { inUse } from '../refusals.ts'
import { takeThis } from './explicit.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import type { Supply } from '../blocks/supply.ts'

/**
 * Sets an address aside (`--aux-address`), in the whole cluster. Another host may set the same one aside; an address that a
 * container has is refused. The first to do it takes the address like any other, so that no owner of its
 * block can hand it out meanwhile.
 */
export async function reserve(
  context: Context,
  supply: Supply,
  pool: HeldPool,
  ip: Ip,
  deadline: number,
): Promise<void> {
  if (pool.row!.reserved.includes(ip)) return
  if (pool.row!.gateway === ip) throw inUse(ip, pool, 'the gateway', 'choose another --aux-address')
  const elsewhere = context.surroundings.holders(pool.key)
  const known = elsewhere.some(({ reserved }) => reserved.includes(ip))
  if (!known) await takeThis(context, supply, pool, ip, 'reserved', deadline)
  const row = pool.row
  if (row === null) return
  const changes = [pool.set({ ...row, reserved: [...row.reserved, ip].sort() })]
  await context.store.write(changes, () => without(pool, ip))
  publishPool(context, pool)
}

/** Undoes it on this host, at once, if the address was set aside here; the caller writes the changes. */
export function unreserve(context: Context, pool: HeldPool, ip: Ip): StoreChange[] {
  const changes = without(pool, ip)
  if (changes.length > 0) publishPool(context, pool)
  return changes
}

function without(pool: HeldPool, ip: Ip): StoreChange[] {
  const { row } = pool
  if (row === null || !row.reserved.includes(ip)) return []
  return [pool.set({ ...row, reserved: row.reserved.filter((other) => other !== ip) })]
}
