import { failure, type OverlayError, refusal } from '../../base/errors.ts'
import type { Ip } from '../../net/ip.ts'
import type { Context } from '../context.ts'
import { chooseAnother, inUse, noMajority, requireHeld } from '../refusals.ts'
import { addressItem } from '../voting/items.ts'
import { nameOfHolder } from '../voting/roster.ts'
import { borrow } from './borrowing.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import type { Lease } from './lease-table.ts'
import { addressAt, blockOf, isUsable } from '../pools/pool-geometry.ts'
import type { Supply } from '../blocks/supply.ts'

/** When a record turns out to be stale, or a rival's claim may fail, we look again after this long, ms. */
const lookAgainMs = 100

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
    for (;;) {
      const done = await tryToTake(context, supply, pool, ip, kind, deadline)
      if (done) return
      if (context.clock.now() >= deadline) {
        throw failure(
          'MEMBER_AWAY',
          `nobody could say who has address ${ip} of pool ${pool.key}; try again`,
        )
      }
      await context.wire.pause(lookAgainMs)
      pool.wishes.add(offset)
    }
  } finally {
    pool.wishes.delete(offset)
  }
}

/** False: things are changing, look again. */
async function tryToTake(
  context: Context,
  supply: Supply,
  pool: HeldPool,
  ip: Ip,
  kind: Lease['kind'],
  deadline: number,
): Promise<boolean> {
  const offset = requireOffset(pool, ip)
  requireHeld(pool)
  refuseTaken(context, pool, ip, offset)
  const index = blockOf(pool.geometry, offset)
  const owner =
    context.surroundings.owners(pool.key).get(index)?.owner ??
    (await claimBlock(context, supply, pool, ip, deadline))
  if (pool.ownsBlock(index)) return takeOwn(context, pool, ip, offset, kind)
  if (owner === null || context.clock.now() >= deadline) return false
  return borrowFrom(context, pool, ip, kind, owner, deadline)
}

/** From a block of ours: again a moment later, so what may have happened meanwhile is checked again. */
async function takeOwn(
  context: Context,
  pool: HeldPool,
  ip: Ip,
  offset: number,
  kind: Lease['kind'],
): Promise<boolean> {
  const { clock, store } = context
  requireHeld(pool)
  refuseTaken(context, pool, ip, offset)
  const lease: Lease = { since: clock.wall(), kind, loan: false }
  await store.write([pool.lease(offset, lease)]).catch((error: unknown) => {
    pool.unlease(offset, clock.now())
    throw error
  })
  return true
}

/** Claims the block that the address is in, unless it is ours; the member that has it instead, null if none is known. */
async function claimBlock(
  context: Context,
  supply: Supply,
  pool: HeldPool,
  ip: Ip,
  deadline: number,
): Promise<string | null> {
  const index = blockOf(pool.geometry, requireOffset(pool, ip))
  if (pool.ownsBlock(index)) return null
  const { won, lost, shortage } = await supply.claim(pool, [index], deadline)
  if (won.length > 0) return null
  if (shortage !== null) throw noMajority(context, `the block of address ${ip}`, shortage)
  const rival = lost[0]?.rival?.holder
  return rival === undefined || rival === context.seat.holder ? null : nameOfHolder(rival)
}

async function borrowFrom(
  context: Context,
  pool: HeldPool,
  ip: Ip,
  kind: Lease['kind'],
  owner: string,
  deadline: number,
): Promise<boolean> {
  const { clock, wire } = context
  const state = wire.states().get(owner)
  if (state === undefined || state === 'dead') throw ownerAway(ip, pool, owner)
  const loan: Lease = { since: clock.wall(), kind, loan: true }
  const offset = requireOffset(pool, ip)
  const borrowed = await borrow(context, pool, offset, owner, loan, deadline)
  if (borrowed.got) return true
  const { rival, shortage } = borrowed
  if (rival !== null) {
    throw inUse(ip, pool, `in use on ${nameOfHolder(rival.holder)}`, chooseAnother)
  }
  if (shortage?.missing.includes(owner) === true) throw ownerAway(ip, pool, owner)
  if (shortage !== null && shortage.got < shortage.needed) {
    throw noMajority(context, `address ${ip}`, shortage)
  }
  return false
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
