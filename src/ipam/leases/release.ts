import type { Clock } from '../../base/clock.ts'
import type { Ip } from '../../net/ip.ts'
import type { Holdings } from '../holdings.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import { withoutReserved } from './reservations.ts'

/**
 * Frees an address that this host handed out. One that it did not is fine, once it is on the disk
 * that it is free.
 */
export async function releaseAddress(
  holdings: Holdings,
  clock: Clock,
  pool: LocalPool,
  ip: Ip,
): Promise<void> {
  const offset = pool.offset(ip)
  const changes = withoutReserved(pool, ip)
  if (offset !== null && changes.length > 0) pool.unreserving.add(offset)
  if (offset !== null && pool.leases.get(offset) !== undefined) {
    changes.push(pool.unlease(offset, clock.now()))
  }
  await holdings.writer.write(changes)
  if (pool.owed.loans.length > 0 || pool.unreserving.size > 0) holdings.flushSoon(pool)
}
