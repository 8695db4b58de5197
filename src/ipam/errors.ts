import { failure, type OverlayError, refusal } from '../base/errors.ts'
import type { Ip } from '../net/ip.ts'
import { type OffsetRange, rangeSize } from '../net/pool-geometry.ts'
import type { LocalPool } from './pools/local-pool.ts'
import type { Refused, Usage } from './ports.ts'

/** What this room says when it cannot do what it is asked for: what, which, and what to do. */

export const chooseAnother = 'choose another --ip or leave it out'

export function inUse(ip: Ip, pool: LocalPool, by: string, remedy: string): OverlayError {
  return refusal('ADDRESS_IN_USE', `address ${ip} of pool ${pool.key} is ${by}; ${remedy}`)
}

/** A pool may be released while a request for one of its addresses waits. */
export function requireHeld(pool: LocalPool): void {
  if (!pool.held) throw poolNotFound(pool.key)
}

export function poolNotFound(pool: string): OverlayError {
  return refusal(
    'POOL_NOT_FOUND',
    `pool ${pool} is not held by this host: it was released, or this plugin lost its data; ` +
      'remove the network and create it again',
  )
}

export function ownerAway(ip: Ip, pool: LocalPool, owner: string): OverlayError {
  return failure(
    'MEMBER_AWAY',
    `address ${ip} of pool ${pool.key} is in a block of ${owner}, which does not answer; ` +
      `wait for ${owner}, or choose another --ip`,
  )
}

export function tooSlow(pool: LocalPool, self: string): OverlayError {
  return failure(
    'DEADLINE',
    `${self} could not get an address of pool ${pool.key} in time: the members answer slowly, or many ask ` +
      'at once; try again',
  )
}

export function poolExhausted(
  pool: LocalPool,
  self: string,
  owners: readonly Usage[],
  isDead: (member: string) => boolean,
): OverlayError {
  const size = pool.geometry.blockSize
  const parts = owners.map(({ member, blocks }) => {
    const dead = isDead(member) ? ' (dead)' : ''
    return `${member}${dead} has ${blocks} block${blocks === 1 ? '' : 's'} of ${size}`
  })
  const range = pool.row?.subPool ?? null
  const where = range === null ? `pool ${pool.key}` : `--ip-range ${range} of pool ${pool.key}`
  const within = (offset: number): boolean => isWithin(pool.window, offset)
  const { gateway, reserved } = pool.agreed
  const atGateway = gateway === null ? null : pool.offset(gateway)
  const setAside = new Set(atGateway === null ? reserved : [...reserved, atGateway])
  const here = [...pool.leases.entries()].filter(
    ([offset, { kind }]) => kind === 'container' && within(offset),
  ).length
  return refusal(
    'POOL_EXHAUSTED',
    `${where} has no free address left for ${self}: of ${rangeSize(pool.window)} addresses ` +
      `${[...setAside].filter(within).length} are set aside (gateway, --aux-address) and ${here} in use on ` +
      `this host; ${parts.join(', ') || 'nobody has a block'}. ` +
      'Remove containers, or use a network with a larger --subnet',
  )
}

export function noPoolLeft(ipv6: boolean): OverlayError {
  return refusal(
    'POOL_EXHAUSTED',
    `no ${ipv6 ? 'IPv6' : 'IPv4'} pool is left that nothing else uses; ` +
      'give one with --subnet, or widen the setting POOLS',
  )
}

/** A refusal that no other sentence is for: a quota, or a member that the cluster does not know. */
export function refusedByState(what: string, { code, names }: Refused): OverlayError {
  const named = names === undefined ? '' : `: ${names.join(', ')}`
  if (code === 'QUOTA') {
    return refusal(
      'POOL_EXHAUSTED',
      `${what}: this member has as many as one member may have, or the cluster as many as there may be`,
    )
  }
  return failure('MEMBER_ERROR', `${what}: the voters refuse it (${code})${named}; try again`)
}

function isWithin(range: OffsetRange | null, offset: number): boolean {
  return range !== null && range.first <= offset && offset <= range.last
}
