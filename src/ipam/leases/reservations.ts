import type { Ip } from '../../net/ip.ts'
import { refusedByState } from '../errors.ts'
import { chooseAnother, inUse } from '../errors.ts'
import { reasonOf } from '../pools/gateway.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { StoreChange } from '../ports.ts'
import type { Holdings } from '../holdings.ts'
import { requireOffset } from './offsets.ts'

const remedy = 'choose another --aux-address'

/**
 * Sets an address aside (`--aux-address`), in the whole cluster. Another host may set the same one
 * aside; an address that a container has is refused. In the block of another member `take` gets the
 * owner's consent first, as for any other address.
 */
export async function reserve(
  holdings: Holdings,
  pool: LocalPool,
  ip: Ip,
  take: () => Promise<void>,
  deadline: number,
): Promise<void> {
  const offset = requireOffset(pool, ip)
  if (pool.row!.reserved.includes(ip)) return holdings.writer.durable()
  if (pool.agreed.gateway === ip) throw inUse(ip, pool, 'the gateway', remedy)
  if (pool.leases.get(offset) !== undefined) throw inUse(ip, pool, 'in use on this host', remedy)
  if (pool.busy.has(offset)) throw inUse(ip, pool, 'being asked for on this host', chooseAnother)
  let isTaken = false
  for (;;) {
    if (!isTaken) pool.busy.add(offset)
    const outcome = await holdings
      .submit(`address ${ip}`, deadline, (agreement, timeoutMs) =>
        agreement.reserve(pool.key, offset, timeoutMs),
      )
      .finally(() => pool.busy.delete(offset))
    if ('ok' in outcome) break
    const { code } = outcome.refused
    if (code === 'QUOTA') throw refusedByState(`address ${ip}`, outcome.refused)
    if (code !== 'OWNED' || isTaken) throw inUse(ip, pool, reasonOf(outcome.refused), remedy)
    await take()
    isTaken = true
  }
  const { row } = pool
  if (row === null) return
  const changes = [pool.set({ ...row, reserved: [...row.reserved, ip].sort() })]
  await holdings.writer.write(changes, () => withoutReserved(pool, ip))
}

/** Takes it off this host's list; the caller writes the changes. */
export function withoutReserved(pool: LocalPool, ip: Ip): StoreChange[] {
  const { row } = pool
  if (row === null || !row.reserved.includes(ip)) return []
  return [pool.set({ ...row, reserved: row.reserved.filter((other) => other !== ip) })]
}
