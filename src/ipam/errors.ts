import { failure, type OverlayError, refusal } from '../base/errors.ts'
import type { Ip } from '../net/ip.ts'
import { rangeSize } from '../net/pool-geometry.ts'
import type { LocalPool } from './pools/local-pool.ts'
import type { Refused, Usage } from './ports.ts'

/** What this room says when it cannot do what it is asked for: what, which, and what to do. */

export const chooseAnother = 'choose another --ip or leave it out'

export function inUse(ip: Ip, pool: LocalPool, by: string, remedy: string): OverlayError {
  return refusal('ADDRESS_IN_USE', `address ${ip} of pool ${pool.key} is ${by}; ${remedy}`)
}

/** A pool may be released while a request for one of its addresses waits. */
export function requireHeld(pool: LocalPool): void {
  if (pool.row === null) throw poolNotFound(pool.key)
}

export function poolNotFound(pool: string): OverlayError {
  const why =
    'it was released, or this plugin lost its data; remove the network and create it again'
  return refusal('POOL_NOT_FOUND', `pool ${pool} is not held by this host: ${why}`)
}

export function ownerAway(ip: Ip, pool: LocalPool, owner: string): OverlayError {
  const what = `address ${ip} of pool ${pool.key} is in a block of ${owner}, which does not answer`
  return failure('MEMBER_AWAY', `${what}; wait for ${owner}, or choose another --ip`)
}

export function tooSlow(pool: LocalPool, self: string): OverlayError {
  const why = 'the members answer slowly, or many ask at once; try again'
  return failure('DEADLINE', `${self} could not get an address of pool ${pool.key} in time: ${why}`)
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
  const { first, last } = pool.window ?? { first: 0, last: -1 }
  const within = (offset: number): boolean => first <= offset && offset <= last
  const { gateway, reserved } = pool.agreed
  const offsets = gateway === null ? reserved : [...reserved, pool.offset(gateway)!]
  const setAside = new Set(offsets.filter(within)).size
  const leases = [...pool.leases.entries()].filter(([offset]) => within(offset))
  const here = leases.filter(([, { kind }]) => kind === 'container').length
  return refusal(
    'POOL_EXHAUSTED',
    `${where} has no free address left for ${self}: of ${rangeSize(pool.window)} addresses ` +
      `${setAside} are set aside (gateway, --aux-address) and ${here} in use on ` +
      `this host; ${parts.join(', ') || 'nobody has a block'}. ` +
      `Remove containers, or use a network with a larger ${range === null ? '--subnet' : '--ip-range'}`,
  )
}

export function noPoolLeft(ipv6: boolean): OverlayError {
  const what = `no ${ipv6 ? 'IPv6' : 'IPv4'} pool is left that nothing else uses`
  return refusal('POOL_EXHAUSTED', `${what}; give one with --subnet, or widen the setting POOLS`)
}

/** A refusal that no other sentence is for: a quota, or a member that the cluster does not know. */
export function refusedByState(what: string, { code, names }: Refused): OverlayError {
  const named = names === undefined ? '' : `: ${names.join(', ')}`
  if (code === 'QUOTA') {
    const why = 'this member has as many as one may have, or the cluster as many as there may be'
    return refusal('POOL_EXHAUSTED', `${what}: ${why}`)
  }
  return failure('MEMBER_ERROR', `${what}: the voters refuse it (${code})${named}; try again`)
}

/** Why the voters refuse an address. */
export function reasonOf({ code, member = 'another member' }: Refused): string {
  if (code === 'OWNED') return `in a block of ${member}`
  return code === 'LENT' ? `in use on ${member}` : 'set aside'
}
