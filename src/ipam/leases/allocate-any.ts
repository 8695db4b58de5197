import type { Clock } from '../../base/clock.ts'
import { attempt } from '../../base/errors.ts'
import { withDeadline } from '../../base/deadline.ts'
import type { Ip } from '../../net/ip.ts'
import type { BlockAllocator } from '../blocks/block-allocator.ts'
import type { Offer } from '../blocks/spares.ts'
import { poolExhausted, requireHeld, tooSlow } from '../errors.ts'
import type { Holdings } from '../holdings.ts'
import type { PeerRequests } from '../peer-requests.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { IpamCluster, Usage } from '../ports.ts'
import type { Lease } from './lease-table.ts'
import type { Lending } from './lending.ts'
import { blockedOffsets } from './offsets.ts'

/** A question that begins at the deadline is over by then, ms. */
const lastQuestionMs = 2700
/** Who has how much of a full pool: the question takes at most this, ms. */
const usageMs = 500

export interface AllocateParts {
  readonly holdings: Holdings
  readonly blocks: BlockAllocator
  readonly lending: Lending
  readonly peers: PeerRequests
  readonly cluster: IpamCluster
  readonly clock: Clock
}

/**
 * Any address of the pool for a container: from our own blocks without a message, else from a new
 * block, else a single address that another member lends. `name` is the container's, where it is
 * known.
 */
export async function allocateAny(
  parts: AllocateParts,
  pool: LocalPool,
  name: string | null,
  deadline: number,
): Promise<Ip> {
  for (;;) {
    requireHeld(pool)
    const own = leaseOwn(parts, pool, name)
    if (own !== null) {
      await own.written
      parts.blocks.keepStocked(pool)
      return pool.addressAt(own.offset)
    }
    const borrowed = await supplied(parts, pool, name, deadline)
    if (borrowed !== null) return pool.addressAt(borrowed)
  }
}

/** The offset that a request for any address would get here at once; null when there is none. */
function nextOwn(
  { cluster, clock }: Pick<AllocateParts, 'cluster' | 'clock'>,
  pool: LocalPool,
  name: string | null,
): number | null {
  const blocked = blockedOffsets(cluster, pool)
  const { leases, ranges } = pool
  const now = clock.now()
  return leases.recall(name, ranges, blocked, now) ?? leases.next(ranges, blocked, now)
}

function newLease(clock: Clock, name: string | null): Lease {
  const lease = { since: clock.wall(), kind: 'container', loan: null } as const
  return name === null ? lease : { ...lease, name }
}

/** Marks the next address as ours, at once; `written` resolves when that is on the disk. */
function leaseOwn(
  parts: AllocateParts,
  pool: LocalPool,
  name: string | null,
): { offset: number; written: Promise<void> } | null {
  const { clock, holdings } = parts
  const offset = nextOwn(parts, pool, name)
  if (offset === null) return null
  const lease = newLease(clock, name)
  const written = holdings.writer.write([pool.lease(offset, lease)], () =>
    pool.revertLease(offset, lease, undefined, clock.now()),
  )
  return { offset, written }
}

/**
 * Waits for a block, or for a borrowed address, whose offset is returned. Null: look again. Fails
 * with POOL_EXHAUSTED when there is nothing to be had.
 */
async function supplied(
  parts: AllocateParts,
  pool: LocalPool,
  name: string | null,
  deadline: number,
): Promise<number | null> {
  const { blocks, clock, cluster } = parts
  const left = deadline - clock.now()
  if (left <= 0) throw tooSlow(pool, cluster.self)
  pool.waiting++
  try {
    // The claim that runs may be another request's, with a later deadline than ours.
    const { gained, offers, owners } = await withDeadline(
      clock,
      left + lastQuestionMs,
      `an address of pool ${pool.key}: the claim for a block`,
      blocks.more(pool, deadline),
    )
    if (gained) return null
    const offset = await borrowOne(parts, pool, name, offers, deadline)
    // Other requests may have been quicker to take what was offered, and there may be more.
    if (offset !== null || nextOwn(parts, pool, name) !== null) return offset
    if (offers.length > 0 && clock.now() < deadline) return null
    throw await exhausted(parts, pool, owners)
  } finally {
    pool.waiting--
  }
}

/** The first of the offered addresses that its owner still lends; null when none is left. */
async function borrowOne(
  { clock, lending }: AllocateParts,
  pool: LocalPool,
  name: string | null,
  offers: readonly Offer[],
  deadline: number,
): Promise<number | null> {
  for (const { owner, offset } of offers) {
    if (clock.now() >= deadline) return null
    if (pool.busy.has(offset) || pool.leases.get(offset) !== undefined) continue
    if ((await lending.borrow(pool, offset, owner, newLease(clock, name))) === 'got') return offset
  }
  return null
}

async function exhausted(
  { cluster, holdings, peers }: AllocateParts,
  pool: LocalPool,
  known: readonly Usage[],
): Promise<Error> {
  const own = { member: cluster.self, blocks: pool.blocks.size }
  const owners = await attempt(
    () => holdings.usage(pool, usageMs),
    () => (known.length > 0 ? known : [own]),
  )
  return poolExhausted(pool, cluster.self, owners, (member) => !peers.isLive(member))
}
