import { failure, type OverlayError, refusal } from '../../base/errors.ts'
import { below } from '../../base/random.ts'
import type { Ip } from '../../net/ip.ts'
import type { Context } from '../context.ts'
import { chooseAnother, inUse, noMajority, requireHeld } from '../refusals.ts'
import { addressItem } from '../voting/items.ts'
import { type Holder, nameOfHolder } from '../voting/roster.ts'
import type { Rival } from '../voting/tally.ts'
import { borrow } from './borrowing.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import type { Lease } from './lease-table.ts'
import { addressAt, blockOf, isUsable } from '../../net/pool-geometry.ts'
import type { Supply } from '../blocks/supply.ts'

/** When a record turns out to be stale, or a rival's claim may fail, we look again after this long, and up to as much again, ms. */
const lookAgainMs = 60
/** A rival that asks at the same moment may fail as we do; one that still has the vote after so many looks has the address. */
const looksMost = 4

/** The offset of an address that was asked for by name, or a refusal that says why no host can have it. */
export function requireOffset(pool: HeldPool, ip: Ip): number {
  const offset = pool.offset(ip)
  if (offset !== null && isUsable(pool.geometry, offset)) return offset
  const { first, last } = pool.geometry
  const from = addressAt(pool.geometry, first)
  const to = addressAt(pool.geometry, last)
  throw refusal(
    'ADDRESS_OUT_OF_POOL',
    `address ${ip} cannot be given to a host in pool ${pool.key}; choose one from ${from} to ${to}`,
  )
}

/**
 * A certain address (`--ip`, `--aux-address`): from our own block, from a block that nobody owns and we claim, or
 * lent by the owner of its block.
 */
export async function takeThis(
  context: Context,
  supply: Supply,
  pool: HeldPool,
  ip: Ip,
  kind: Lease['kind'],
  deadline: number,
): Promise<void> {
  const offset = requireOffset(pool, ip)
  if (pool.wishes.has(offset)) {
    throw inUse(ip, pool, 'being asked for by another request on this host', chooseAnother)
  }
  pool.wishes.add(offset)
  try {
    for (let looks = 1; ; looks++) {
      const rival = await tryToTake(context, supply, pool, ip, kind, deadline)
      if (rival === 'taken') return
      if (rival !== null && looks >= looksMost) throw heldBy(context, ip, pool, rival)
      if (context.clock.now() >= deadline) {
        throw failure(
          'MEMBER_AWAY',
          `nobody could say who has address ${ip} of pool ${pool.key}; try again`,
        )
      }
      await context.wire.pause(lookAgainMs + below(context.random, lookAgainMs))
    }
  } finally {
    pool.wishes.delete(offset)
  }
}

/** Not taken: things are changing, look again; with the rival that seems to have it, if there is one. */
async function tryToTake(
  context: Context,
  supply: Supply,
  pool: HeldPool,
  ip: Ip,
  kind: Lease['kind'],
  deadline: number,
): Promise<'taken' | Rival | null> {
  const offset = requireOffset(pool, ip)
  requireHeld(pool)
  refuseTaken(context, pool, ip, offset)
  const index = blockOf(pool.geometry, offset)
  const owner = context.surroundings.owners(pool.key).get(index)?.owner
  if (owner !== undefined) return borrowFrom(context, pool, ip, kind, owner, deadline)
  const rival = await claimBlock(context, supply, pool, ip, deadline)
  return pool.ownsBlock(index) ? takeOwn(context, pool, ip, offset, kind) : rival
}

/** From a block of ours: again a moment later, so what may have happened meanwhile is checked again. */
async function takeOwn(
  context: Context,
  pool: HeldPool,
  ip: Ip,
  offset: number,
  kind: Lease['kind'],
): Promise<'taken'> {
  const { clock, store } = context
  requireHeld(pool)
  refuseTaken(context, pool, ip, offset)
  const lease: Lease = { since: clock.wall(), kind, loan: false }
  await store.write([pool.lease(offset, lease)], () =>
    pool.unlet(offset, lease, undefined, clock.now()),
  )
  return 'taken'
}

/** Claims the block that the address is in, unless it is ours; the rival that has votes for it instead, if there is one. */
async function claimBlock(
  context: Context,
  supply: Supply,
  pool: HeldPool,
  ip: Ip,
  deadline: number,
): Promise<Rival | null> {
  const index = blockOf(pool.geometry, requireOffset(pool, ip))
  if (pool.ownsBlock(index)) return null
  const { won, lost, shortage } = await supply.claim(pool, [index], deadline)
  if (won.length > 0) return null
  if (shortage !== null) throw noMajority(context, `the block of address ${ip}`, shortage)
  return lost[0]?.rival ?? null
}

async function borrowFrom(
  context: Context,
  pool: HeldPool,
  ip: Ip,
  kind: Lease['kind'],
  owner: string,
  deadline: number,
): Promise<'taken' | Rival | null> {
  const { clock, wire } = context
  const state = wire.states().get(owner)
  // Not heard of: we have just started, and the engine gives up on a container that is refused now.
  const mayCome = state === undefined && clock.now() + 2 * lookAgainMs < deadline
  if (mayCome) return null
  if (state === undefined || state === 'dead') throw ownerAway(ip, pool, owner)
  const loan: Lease = { since: clock.wall(), kind, loan: true }
  const offset = requireOffset(pool, ip)
  const borrowed = await borrow(context, pool, offset, owner, loan, deadline)
  if (borrowed.got) return 'taken'
  const { rival, shortage } = borrowed
  if (rival !== null && nameOfHolder(rival.holder) === owner) throw inUseOn(ip, pool, rival.holder)
  if (rival !== null) return rival
  if (shortage?.missing.includes(owner) === true) throw ownerAway(ip, pool, owner)
  if (shortage !== null && shortage.got < shortage.needed) {
    throw noMajority(context, `address ${ip}`, shortage)
  }
  return null
}

function inUseOn(ip: Ip, pool: HeldPool, holder: Holder): OverlayError {
  return inUse(ip, pool, `in use on ${nameOfHolder(holder)}`, chooseAnother)
}

/** A rival keeps the address, or its block, and does not publish it. */
function heldBy({ wire }: Context, ip: Ip, pool: HeldPool, { holder, held }: Rival): OverlayError {
  const member = nameOfHolder(holder)
  const state = wire.states().get(member)
  if (held.kind === 'address') return inUseOn(ip, pool, holder)
  if (state === undefined || state === 'dead') return ownerAway(ip, pool, member)
  return inUse(
    ip,
    pool,
    `in a block that ${member} has votes for`,
    'try again, or ' + chooseAnother,
  )
}

function refuseTaken(
  { cluster, seat, surroundings }: Context,
  pool: HeldPool,
  ip: Ip,
  offset: number,
): void {
  const lease = pool.leases.get(offset)
  if (lease !== undefined) {
    const by = lease.kind === 'reserved' ? 'reserved on this host' : 'in use on this host'
    throw inUse(ip, pool, by, chooseAnother)
  }
  if (pool.row?.gateway === ip) throw inUse(ip, pool, 'the gateway', chooseAnother)
  const set = surroundings.reservation(pool, ip)
  if (set !== null) throw inUse(ip, pool, `${set.as} on ${set.member}`, chooseAnother)
  const endpoint = cluster.holderOf(pool.key, ip)
  if (endpoint !== null) {
    const where = `in use on ${endpoint.member} (${endpoint.address})`
    throw inUse(ip, pool, where, chooseAnother)
  }
  const borrower = seat.book.otherHolder(addressItem(pool.key, offset), seat.holder)
  if (borrower !== null && pool.ownsOffset(offset)) {
    throw inUse(ip, pool, `lent to ${nameOfHolder(borrower)}`, chooseAnother)
  }
}

function ownerAway(ip: Ip, pool: HeldPool, owner: string): OverlayError {
  return failure(
    'MEMBER_AWAY',
    `address ${ip} of pool ${pool.key} is in a block of ${owner}, which does not answer; ` +
      `wait for ${owner}, or choose another --ip`,
  )
}
