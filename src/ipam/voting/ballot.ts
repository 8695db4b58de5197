import type { PackedVotes } from './packed-votes.ts'
import type { Roster } from './roster.ts'

/** A try to change the roster, larger than all tries before it. */
export interface Ballot {
  readonly counter: number
  /** The proposer's id and its run, so that no two proposers, nor one before and after a crash, have the same ballot. */
  readonly id: string
}

/** What is decided in a change: the next roster, and the votes that its voters must honour. */
export interface Decision {
  readonly roster: Roster
  readonly votes: PackedVotes
}

/**
 * What a voter has promised about the roster that comes after `after` (its tag, null before the founding).
 * From its first promise on the voter gives no more votes under the old roster.
 */
export interface Promise_ {
  readonly after: string | null
  readonly ballot: Ballot
  readonly accepted: { readonly ballot: Ballot; readonly decision: Decision } | null
}

/** Negative when `a` is the smaller one. */
export function compareBallots(a: Ballot, b: Ballot): number {
  if (a.counter !== b.counter) return a.counter - b.counter
  return a.id === b.id ? 0 : a.id < b.id ? -1 : 1
}

/** The rule of an acceptor for a proposer's first round; null refuses. */
export function promised(
  current: Promise_ | null,
  after: string | null,
  ballot: Ballot,
): Promise_ | null {
  if (current !== null && compareBallots(ballot, current.ballot) < 0) return null
  return { after, ballot, accepted: current?.accepted ?? null }
}

/** The rule of an acceptor for a proposer's second round; null refuses. */
export function accepted(
  current: Promise_ | null,
  after: string | null,
  ballot: Ballot,
  decision: Decision,
): Promise_ | null {
  if (current !== null && compareBallots(ballot, current.ballot) < 0) return null
  return { after, ballot, accepted: { ballot, decision } }
}

/** What a proposer must propose: what may have been decided already, if anything was accepted. */
export function decisionToFinish(
  replies: readonly { accepted: { ballot: Ballot; decision: Decision } | null }[],
): Decision | null {
  let latest: { ballot: Ballot; decision: Decision } | null = null
  for (const { accepted } of replies) {
    if (accepted === null) continue
    if (latest === null || compareBallots(accepted.ballot, latest.ballot) > 0) latest = accepted
  }
  return latest?.decision ?? null
}
