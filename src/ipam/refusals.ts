import { failure, type OverlayError, refusal } from '../base/errors.ts'
import type { Ip } from '../net/ip.ts'
import type { Context } from './context.ts'
import type { HeldPool } from './pools/held-pool.ts'
import { blockOf, blockRange, type OffsetRange, rangeSize } from '../net/pool-geometry.ts'
import type { MemberState } from './ports.ts'
import { nameOfHolder } from './voting/roster.ts'
import type { Shortage } from './voting/tally.ts'

/** More members than this are not named in one message. */
const namedMost = 12

/** What this room says when it cannot do what it is asked for: what, which, and what to do. */

export function noMajority(context: Context, what: string, shortage: Shortage): OverlayError {
  const { got, needed, of, missing } = shortage
  const { seat, cluster } = context
  if (seat.roster === null && !cluster.synced()) {
    return failure(
      'NO_MAJORITY',
      `${cluster.self} cannot take ${what}: it was told to JOIN a cluster and has not reached any member of it yet; ` +
        'check JOIN, and that the port of GOSSIP_PORT (TCP and UDP) is open between the hosts',
    )
  }
  const away = missing.length === 0 ? 'nobody is missing' : `no answer from ${named(missing)}`
  const state = seat.seated ? '' : `${cluster.self} is not admitted as a voter yet; `
  return failure(
    'NO_MAJORITY',
    `${cluster.self} cannot take ${what}: ${state}${got} of ${of} members gave their vote and ${needed} are needed; ${away}. ` +
      'What runs goes on running, and addresses from blocks that this host has can be used. Bring those members back or, ' +
      `if they are gone for good, have them forgotten: ${toForget(missing)}`,
  )
}

/** Names for a message; of a large cluster only the first. */
export function named(members: readonly string[]): string {
  const more = members.length - namedMost
  return members.slice(0, namedMost).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

/** What an operator types when members are gone for good: all of them, since fewer may be too few for those that are left. */
export function toForget(members: readonly string[]): string {
  return `ts-overlay forget ${members.join(' ') || 'MEMBER'}`
}

export function inUse(ip: Ip, pool: HeldPool, by: string, remedy: string): OverlayError {
  return refusal('ADDRESS_IN_USE', `address ${ip} of pool ${pool.key} is ${by}; ${remedy}`)
}

/** A pool may be released while a request for one of its addresses waits. */
export function requireHeld(pool: HeldPool): void {
  if (!pool.held) throw poolNotFound(pool.key)
}

export function poolNotFound(pool: string): OverlayError {
  return refusal(
    'POOL_NOT_FOUND',
    `pool ${pool} is not held by this host: it was released, or this plugin lost its data; ` +
      'remove the network and create it again',
  )
}

export const chooseAnother = 'choose another --ip or leave it out'

/** Nothing was to be had in the time there was. */
export function noAddress(context: Context, pool: HeldPool): OverlayError {
  if (!hasUnowned(context, pool)) return poolExhausted(context, pool)
  return failure(
    'DEADLINE',
    `pool ${pool.key} has blocks that nobody has, and ${context.cluster.self} could not get one in time: ` +
      'the members answer slowly, or many ask at once; try again',
  )
}

export function poolExhausted(context: Context, pool: HeldPool): OverlayError {
  const parts = usage(context, pool).map(
    ({ owner, alive, blocks, addresses }) =>
      `${owner}${alive ? '' : ' (dead)'} has ${addresses} in ${blocks} block${blocks === 1 ? '' : 's'}`,
  )
  const range = pool.row?.subPool ?? null
  const where = range === null ? `pool ${pool.key}` : `--ip-range ${range} of pool ${pool.key}`
  const within = (offset: number): boolean => isWithin(pool.window, offset)
  const setAside = [...context.surroundings.reserved(pool)].filter(within).length
  const here = [...pool.leases.entries()].filter(
    ([offset, { kind }]) => kind === 'container' && within(offset),
  ).length
  return refusal(
    'POOL_EXHAUSTED',
    `${where} has no free address left for ${context.cluster.self}: of ${rangeSize(pool.window)} addresses ` +
      `${setAside} are set aside (gateway, --aux-address) and ${here} in use on this host; ` +
      `${parts.join(', ') || 'nobody has a block'}. ` +
      'Remove containers, or use a network with a larger --subnet',
  )
}

function isWithin(range: OffsetRange | null, offset: number): boolean {
  return range !== null && range.first <= offset && offset <= range.last
}

/** Who owns how much of a pool. */
export function usage(
  context: Context,
  pool: HeldPool,
): { owner: string; alive: boolean; blocks: number; addresses: number }[] {
  const byOwner = new Map<string, { alive: boolean; blocks: number; addresses: number }>()
  const states = context.wire.states()
  for (const [index, owner] of ownersOf(context, pool, states)) {
    const state = states.get(owner)
    const alive = state === 'alive' || state === 'suspect'
    const sum = byOwner.get(owner) ?? { alive, blocks: 0, addresses: 0 }
    sum.blocks++
    sum.addresses += rangeSize(blockRange(pool.geometry, index))
    byOwner.set(owner, sum)
  }
  return [...byOwner].map(([owner, sum]) => ({ owner, ...sum }))
}

/** Whether some block that our automatic addresses may come from is nobody's. */
function hasUnowned(context: Context, pool: HeldPool): boolean {
  const { geometry, window } = pool
  if (window === null) return false
  const owners = ownersOf(context, pool, context.wire.states())
  const owned = [...owners.keys()].filter((index) => blockRange(geometry, index, window) !== null)
  return owned.length < blockOf(geometry, window.last) - blockOf(geometry, window.first) + 1
}

/**
 * By index who has a block: by record, and of the dead also by the votes that we gave them, since the cluster forgets their
 * records after a while and the voters do not.
 */
function ownersOf(
  { cluster, seat, surroundings }: Context,
  pool: HeldPool,
  states: ReadonlyMap<string, MemberState['state']>,
): Map<number, string> {
  const owners = new Map<number, string>()
  for (const block of seat.book.itemsOf('block', pool.key)) {
    for (const holder of seat.book.holders(block).keys()) {
      const voted = nameOfHolder(holder)
      if ((states.get(voted) ?? 'dead') === 'dead') owners.set(block.number, voted)
    }
  }
  for (const { owner, index } of surroundings.owners(pool.key).values()) {
    if (index < pool.geometry.blockCount) owners.set(index, owner)
  }
  for (const index of pool.blocks().keys()) owners.set(index, cluster.self)
  return owners
}
