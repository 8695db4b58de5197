import type { Clock } from '../../base/clock.ts'
import { refusal } from '../../base/errors.ts'
import type { Ip } from '../../net/ip.ts'
import { poolExhausted } from '../errors.ts'
import type { Holdings } from '../holdings.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import { requireOffset } from './offsets.ts'

/**
 * Addresses of swarm-assigned pools. The managers agree by swarm's Raft on who allocates: the
 * leader's host allocates from the whole pool, without blocks, and takes over what it is told when
 * it becomes the leader. Workers only write down what they are told.
 */
export async function allocateOfSwarm(
  holdings: Holdings,
  clock: Clock,
  self: string,
  pool: LocalPool,
  wanted: Ip | null,
): Promise<Ip> {
  if (wanted === null && pool.name.kind === 'told') {
    throw refusal(
      'UNSUPPORTED',
      `pool ${pool.key} belongs to a swarm network: only a manager chooses addresses in it`,
    )
  }
  const offset =
    wanted === null
      ? pool.leases.next([pool.window ?? pool.geometry], (o) => pool.isSetAside(o), clock.now())
      : requireOffset(pool, wanted)
  if (offset === null) throw poolExhausted(pool, self, [], () => false)
  const lease = { since: clock.wall(), kind: 'container', loan: null } as const
  const before = pool.leases.get(offset)
  await holdings.writer.write([pool.lease(offset, lease)], () =>
    pool.revertLease(offset, lease, before, clock.now()),
  )
  return pool.addressAt(offset)
}
