/**
 * What is told and taken in when two members exchange their whole state. Theirs counts like gossip
 * from them, with one exception: what they hold for dead is only suspected here, so that it can
 * refute.
 */
import type { Delegate } from '../../delegate.ts'
import { addressToBytes, bytesToAddress, type SocketAddress } from '../../socket-address.ts'
import { versionsFromBytes, versionsToBytes, type Member } from '../../member.ts'
import { incompatibility } from '../../rules/compatibility.ts'
import { WIRE_STATES, type NodeState, type PushPull } from '../../wire/stream-messages.ts'
import type { Membership } from './membership.ts'
import type { Roster } from './roster.ts'

const EMPTY = new Uint8Array()

export interface StateSyncParts {
  readonly roster: Roster
  readonly membership: Membership
  readonly delegate: Delegate
  readonly now: () => number
}

/** Our side of the exchange. */
export function localState({ roster, delegate }: StateSyncParts, join: boolean): PushPull {
  const nodes = Array.from(roster.members.values(), toNodeState)
  return { join, nodes, userState: delegate.localState?.(join) ?? EMPTY }
}

/** Takes in the other side. Returns the reason when it is refused as a whole. */
export function mergeState(
  parts: StateSyncParts,
  { join, nodes, userState }: PushPull,
  from: SocketAddress,
): string | undefined {
  const { roster, membership, delegate } = parts
  const members = nodes.map((node) => toMember(node, parts.now()))
  const mismatch = incompatibility(members, roster.members.values())
  if (mismatch !== undefined) return mismatch
  if (join && delegate.acceptMerge !== undefined) {
    const accepted = delegate.acceptMerge(members)
    if (accepted !== true) return accepted
  }
  for (const node of nodes) mergeNode(membership, node)
  if (userState.length > 0) delegate.mergeState?.(userState, join, from)
  return undefined
}

function mergeNode(membership: Membership, node: Readonly<NodeState>): void {
  const { name, incarnation } = node
  switch (WIRE_STATES[node.state]) {
    case 'alive':
      return membership.heardAlive({ ...node, node: name })
    case 'left':
      return membership.heardDead({ name, incarnation, from: name })
    case 'suspect':
    case 'dead':
      return membership.heardSuspect({ name, incarnation, from: membership.self.name })
    case undefined:
  }
}

function toNodeState(member: Member): NodeState {
  return {
    name: member.name,
    addr: addressToBytes(member.address),
    port: member.port,
    meta: member.meta.length === 0 ? null : member.meta,
    incarnation: member.incarnation,
    state: WIRE_STATES.indexOf(member.state),
    vsn: versionsToBytes(member.versions),
  }
}

function toMember(node: Readonly<NodeState>, now: number): Member {
  return {
    name: node.name,
    address: (node.addr && bytesToAddress(node.addr)) ?? '',
    port: node.port,
    meta: node.meta ?? EMPTY,
    versions: versionsFromBytes(node.vsn),
    incarnation: node.incarnation,
    state: WIRE_STATES[node.state] ?? 'dead',
    since: now,
  }
}
