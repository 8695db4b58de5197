/** What is known of others, so that nothing is concluded from what is merely not known yet. */
import type { Ip } from '../net/ip.ts'
import type { Member, MemberTable } from './members/member-table.ts'
import type { Replica } from './log/replica.ts'

/** Whether all is here that the member with this VTEP has told, or it is known to be gone. */
export function isKnown(address: Ip, members: MemberTable, replica: Replica): boolean {
  const there = members.at(address)
  return there.length > 0 && there.every((member) => isComplete(member, replica))
}

function isComplete({ self, state, restarting, oid }: Member, replica: Replica): boolean {
  const isGone = state === 'left' || (state === 'dead' && restarting !== true)
  if (self || isGone) return true
  const origin = replica.origin(oid)
  return origin !== undefined && origin.log.complete && origin.shown === null
}
