import { failure } from '../../base/errors.ts'
import { below, type Random } from '../../base/random.ts'
import { type Clock, sleep } from '../../base/clock.ts'
import type { Ip } from '../../net/ip.ts'
import { blockOf } from '../../net/pool-geometry.ts'
import { chooseAnother, inUse, ownerAway, refusedByState, requireHeld } from '../errors.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { AllocateParts } from './allocate-any.ts'
import type { Lease } from './lease-table.ts'
import { requireOffset } from './offsets.ts'

/**
 * When the owner has a request of its own for the address, we look again after this long, and up to
 * as much again, ms.
 */
const lookAgainMs = 60
/** An owner that is busy with the address after so many looks keeps it. */
const maxLooks = 4
/** Who has an address: the question takes at most this, ms. */
const whoMs = 500

interface SpecificParts extends AllocateParts {
  readonly clock: Clock
  readonly random: Random
}

/**
 * A certain address (`--ip`): from our own block, from a block that nobody owns and we claim, or
 * lent by the owner of its block. `kind` is what it is for.
 */
export async function allocateSpecific(
  parts: SpecificParts,
  pool: LocalPool,
  ip: Ip,
  wish: { readonly kind: Lease['kind']; readonly name: string | null },
  deadline: number,
): Promise<void> {
  const offset = requireOffset(pool, ip)
  if (pool.busy.has(offset)) {
    throw inUse(ip, pool, 'being asked for by another request on this host', chooseAnother)
  }
  pool.busy.add(offset)
  try {
    for (let busy = 0; ;) {
      const tried = await tryToTake(parts, pool, ip, wish, deadline)
      if (tried === 'taken') return
      if (tried === 'busy') busy++
      if (busy >= maxLooks || parts.clock.now() >= deadline) {
        throw failure(
          'MEMBER_AWAY',
          `nobody could say who has address ${ip} of pool ${pool.key}; try again`,
        )
      }
      await sleep(parts.clock, lookAgainMs + below(parts.random, lookAgainMs))
    }
  } finally {
    pool.busy.delete(offset)
  }
}

/** `busy`: its owner has a request for it. `unheard`: nothing is known of its owner yet. */
type Tried = 'taken' | 'busy' | 'unheard'

async function tryToTake(
  parts: SpecificParts,
  pool: LocalPool,
  ip: Ip,
  wish: { readonly kind: Lease['kind']; readonly name: string | null },
  deadline: number,
): Promise<Tried> {
  const { clock, holdings } = parts
  const offset = requireOffset(pool, ip)
  const named = wish.name === null ? {} : { name: wish.name }
  const lease: Lease = { since: clock.wall(), kind: wish.kind, loan: null, ...named }
  // A loan may be back without our having been told: the next view says.
  const isLent = pool.ownsOffset(offset) && pool.agreed.lent.includes(offset)
  if (isLent) await claimBlock(parts, pool, ip, offset, deadline)
  await refuseTaken(parts, pool, ip, offset)
  if (!pool.ownsOffset(offset)) {
    const owner = await claimBlock(parts, pool, ip, offset, deadline)
    if (owner !== null) return borrow(parts, pool, ip, { owner, lease, deadline })
    // A moment has passed: the block may be given away again, or the address set aside.
    await refuseTaken(parts, pool, ip, offset)
    if (!pool.ownsOffset(offset)) return 'busy'
  }
  await holdings.writer.write([pool.lease(offset, lease)], () =>
    pool.revertLease(offset, lease, undefined, clock.now()),
  )
  return 'taken'
}

/** Claims the block that the address is in; its owner instead, if it has one. */
async function claimBlock(
  { holdings }: SpecificParts,
  pool: LocalPool,
  ip: Ip,
  offset: number,
  deadline: number,
): Promise<string | null> {
  const what = `the block of address ${ip}`
  if (pool.owed.blocks.length > 0) await holdings.flush(pool, deadline)
  const outcome = await holdings.submit(what, deadline, (agreement, timeoutMs) =>
    agreement.claimBlock(pool.key, blockOf(pool.geometry, offset), timeoutMs),
  )
  if ('ok' in outcome) return null
  const { code, member } = outcome.refused
  if (code === 'OWNED' && member !== undefined) return member
  throw refusedByState(what, outcome.refused)
}

async function borrow(
  parts: SpecificParts,
  pool: LocalPool,
  ip: Ip,
  { owner, lease, deadline }: { owner: string; lease: Lease; deadline: number },
): Promise<Tried> {
  const { clock, lending, peers } = parts
  const state = peers.state(owner)
  // We have just started, and the engine gives up on a container that is refused now.
  if (state === undefined && clock.now() + 2 * lookAgainMs < deadline) return 'unheard'
  if (state === undefined || state === 'dead') throw ownerAway(ip, pool, owner)
  const offset = requireOffset(pool, ip)
  const borrowed = await lending.borrow(pool, offset, owner, lease)
  if (borrowed === 'got') return 'taken'
  if (borrowed === 'away') throw ownerAway(ip, pool, owner)
  if (borrowed !== 'in use') return 'busy'
  throw inUse(ip, pool, await possessor(parts, pool, offset), chooseAnother)
}

async function refuseTaken(
  parts: SpecificParts,
  pool: LocalPool,
  ip: Ip,
  offset: number,
): Promise<void> {
  requireHeld(pool)
  const lease = pool.leases.get(offset)
  const isReserved = pool.agreed.reserved.includes(offset)
  if (lease?.kind === 'reserved' || pool.row!.reserved.includes(ip)) {
    throw inUse(ip, pool, 'reserved on this host', chooseAnother)
  }
  if (lease !== undefined) throw inUse(ip, pool, 'in use on this host', chooseAnother)
  if (pool.agreed.gateway === ip) throw inUse(ip, pool, 'the gateway', chooseAnother)
  const endpoint = parts.cluster.holderOf(pool.key, ip)
  if (endpoint !== null) {
    const where = `in use on ${endpoint.member} (${endpoint.address})`
    throw inUse(ip, pool, where, chooseAnother)
  }
  if (isReserved || pool.agreed.lent.includes(offset)) {
    throw inUse(ip, pool, await possessor(parts, pool, offset), chooseAnother)
  }
}

/** In whose hands an address is, for a message. */
async function possessor(
  { holdings }: SpecificParts,
  pool: LocalPool,
  offset: number,
): Promise<string> {
  const { owner, borrower, reserver } = await holdings.whoHas(pool, offset, whoMs)
  if (borrower !== null) return `lent to ${borrower}`
  if (reserver !== null) return `a reserved address on ${reserver}`
  return owner === null ? 'in use on another member' : `in use on ${owner}`
}
