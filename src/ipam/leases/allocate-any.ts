import { attempt } from '../../base/errors.ts'
import { withDeadline } from '../../base/deadline.ts'
import type { Ip } from '../../net/ip.ts'
import type { BlockAllocator } from '../blocks/block-allocator.ts'
import { poolExhausted, requireHeld, tooSlow } from '../errors.ts'
import type { Holdings } from '../holdings.ts'
import type { PeerRequests } from '../peer-requests.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { IpamPorts } from '../ports.ts'
import { leaseOf } from './lease-table.ts'
import type { Lending } from './lending.ts'

/** A question that begins at the deadline is over by then, ms. */
const lastQuestionMs = 2700
/** Who has how much of a full pool: the question takes at most this, ms. */
const usageMs = 500

export type AllocateParts = Pick<IpamPorts, 'cluster' | 'clock' | 'random'> & {
  readonly holdings: Holdings
  readonly blocks: BlockAllocator
  readonly lending: Lending
  readonly peers: PeerRequests
}

/** A request for an address; `name` is the container's, where it is known. */
export interface Asked {
  readonly pool: LocalPool
  readonly name: string | null
  readonly deadline: number
}

/**
 * Any address of the pool for a container: from our own blocks without a message, else from a new
 * block, else a single address that another member lends.
 */
export async function allocateAny(parts: AllocateParts, asked: Asked): Promise<Ip> {
  const { pool, name } = asked
  for (;;) {
    requireHeld(pool)
    const own = nextOwn(parts, asked)
    if (own !== null) {
      await parts.holdings.lease(pool, own, leaseOf(parts.clock, 'container', name))
      parts.blocks.keepStocked(pool)
      return pool.addressAt(own)
    }
    const borrowed = await supplied(parts, asked)
    if (borrowed !== null) return pool.addressAt(borrowed)
  }
}

/** The offset that a request for any address would get here at once; null when there is none. */
function nextOwn({ clock, holdings }: AllocateParts, { pool, name }: Asked): number | null {
  const { leases, ranges } = pool
  const isBlocked = (offset: number): boolean => holdings.isBlocked(pool, offset)
  const now = clock.now()
  return leases.recall(name, ranges, isBlocked, now) ?? leases.next(ranges, isBlocked, now)
}

/**
 * Waits for a block, or for a borrowed address, whose offset is returned. Null: look again. Fails
 * with POOL_EXHAUSTED when there is nothing to be had.
 */
async function supplied(parts: AllocateParts, asked: Asked): Promise<number | null> {
  const { blocks, clock, cluster, holdings, lending, peers } = parts
  const { pool, deadline } = asked
  const left = deadline - clock.now()
  if (left <= 0) throw tooSlow(pool, cluster.self)
  pool.waiting++
  try {
    // The claim that runs may be another request's, with a later deadline than ours.
    const what = `an address of pool ${pool.key}: the claim for a block`
    const more = blocks.more(pool, deadline)
    const supply = await withDeadline(clock, left + lastQuestionMs, what, more)
    if (supply.gained) return null
    for (const { owner, offset } of supply.offers) {
      if (clock.now() >= deadline) break
      if (pool.busy.has(offset) || pool.leases.get(offset) !== undefined) continue
      const lease = leaseOf(clock, 'container', asked.name)
      if ((await lending.borrow(pool, offset, owner, lease)) === 'got') return offset
    }
    // Other requests may have been quicker to take what was offered, and there may be more.
    if (nextOwn(parts, asked) !== null) return null
    if (supply.offers.length > 0 && clock.now() < deadline) return null
    const own = { member: cluster.self, blocks: pool.blocks.size }
    const owners = await attempt(
      () => holdings.agreement.usage(pool.key)(usageMs),
      () => (supply.owners.length > 0 ? supply.owners : [own]),
    )
    throw poolExhausted(pool, cluster.self, owners, (member) => !peers.isLive(member))
  } finally {
    pool.waiting--
  }
}
