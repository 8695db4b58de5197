/**
 * When a member's records count. Death hides them, because the member may only be cut off: when it
 * answers again they count again at once, and nothing has to be sent. Leaving forgets them, because
 * the owner said so. Records of somebody who is not a member (yet) are kept, hidden: a record often
 * overtakes the news that its owner has joined.
 */
import type { MemberState } from './gossip/gossip-transport.ts'

/** `unknown`: no member of that name was heard of. `gone`: no longer in the replica. */
export type Standing = 'visible' | 'hidden' | 'unknown' | 'gone'

/** That an epoch is over, kept so that nobody who missed it teaches it to us again. */
export interface EpochTombstone {
  readonly epoch: number
  /** The owner said so itself; else we only stopped waiting for it. */
  readonly left: boolean
  /** When it may be dropped, by the clock. */
  readonly untilMs: number
}

/** How the records of a member in this state stand. */
export function standingOf(state: MemberState): 'visible' | 'hidden' | 'forgotten' {
  if (state === 'left') return 'forgotten'
  return state === 'dead' ? 'hidden' : 'visible'
}

/**
 * Whether a member that is alive with this epoch lifts the certificate: one that was given up on may
 * come back as it was, one that left comes back only in a new epoch.
 */
export function liftedBy(certificate: EpochTombstone, epoch: number): boolean {
  return certificate.left ? epoch > certificate.epoch : epoch >= certificate.epoch
}
