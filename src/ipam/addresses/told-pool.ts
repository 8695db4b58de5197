import { refusal } from '../../base/errors.ts'
import type { Ip } from '../../net/ip.ts'
import type { Context } from '../context.ts'
import { poolExhausted } from '../refusals.ts'
import { requireOffset } from './explicit.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import { addressAt } from '../../net/pool-geometry.ts'

/**
 * Addresses of swarm networks. There the managers agree by Raft on who allocates: the leader's host keeps the books of the whole
 * pool, without blocks or votes, and takes over what it is told when it becomes the leader. Workers
 * only write down what they are told.
 */
export async function takeTold(context: Context, pool: HeldPool, wanted: Ip | null): Promise<Ip> {
  const { clock, store, surroundings } = context
  if (wanted === null && pool.name.kind === 'told') {
    throw refusal(
      'UNSUPPORTED',
      `pool ${pool.key} belongs to a swarm network: only a manager chooses addresses in it`,
    )
  }
  const reserved = surroundings.reserved(pool)
  const offset =
    wanted === null
      ? pool.leases.next([pool.window ?? pool.geometry], (o) => reserved.has(o), clock.now())
      : requireOffset(pool, wanted)
  if (offset === null) throw poolExhausted(context, pool)
  const lease = { since: clock.wall(), kind: 'container', loan: false } as const
  const before = pool.leases.get(offset)
  await store.write([pool.lease(offset, lease)], () =>
    pool.unlet(offset, lease, before, clock.now()),
  )
  return addressAt(pool.geometry, offset)
}
