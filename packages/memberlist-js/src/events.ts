import type { SocketAddress } from './socket-address.ts'
import type { Member } from './member.ts'

/**
 * What a {@link Memberlist} emits, and with which arguments. Nothing is emitted about the local
 * member.
 */
export interface MemberlistEvents {
  /** A member is new, or is back after having been dead or left. */
  join: [member: Member]
  /** The meta of a member that is present changed, or its address by `acceptMove`. */
  update: [member: Member, previous: Member]
  /** A member failed a probe, ours or somebody's. It counts as present until it `leave`s. */
  suspect: [member: Member]
  /** A suspect spoke up: it is alive. */
  refuted: [member: Member]
  /** A member said goodbye, or was suspect for too long. A goodbye may still follow a failure. */
  leave: [member: Member, how: 'left' | 'failed']
  /** Another address claims the name of a member; ignored unless `acceptMove` is called. */
  conflict: [known: Member, claimant: Member]
  /** A user message came, over UDP or TCP. */
  message: [payload: Uint8Array, from: SocketAddress]
  /** Our own health changed: 0 is well, up to `awarenessMaxMultiplier - 1`. */
  health: [score: number]
}

/** An event as {@link Memberlist.changes} yields it. */
export type MemberlistEvent =
  | { readonly type: 'join' | 'suspect' | 'refuted'; readonly member: Member }
  | { readonly type: 'update'; readonly member: Member; readonly previous: Member }
  | { readonly type: 'leave'; readonly member: Member; readonly how: 'left' | 'failed' }
  /** The reader was too slow: `dropped` events are missing. Compare with `members`. */
  | { readonly type: 'lagged'; readonly dropped: number }
