import type { Configuration, ServerId } from '../core/types.ts'
import type { MemberState } from '../ports.ts'
import { memberOf } from '../requests.ts'

/**
 * A member is a spare when it has been alive for this long, ms (Consul: server stabilization time).
 */
export const stableMs = 10_000
/** A voter that does not answer for this long may be replaced, ms. */
export const deadMs = 30_000

/** What the leader knows of a server in the configuration. */
export interface ServerHealth {
  /** Since when nothing is heard from it or its member is dead, ms ago; 0 while it answers. */
  readonly silentMs: number
  /** It was heard a moment ago, by this leader. */
  readonly isAnswering: boolean
  /** Its member left, or runs another server now: it never comes back. */
  readonly isGone: boolean
  /** It has nearly all of the log and knows the command version. */
  readonly isReady: boolean
}

export interface VotersState {
  readonly self: ServerId
  readonly configuration: Configuration
  /** How many voters the operator wants: the setting VOTERS. */
  readonly wanted: number
  readonly health: (server: ServerId) => ServerHealth
  /** Members that may become voters, in the order of preference. */
  readonly spares: readonly string[]
}

export type VotersChange =
  | { readonly kind: 'enroll'; readonly member: string }
  | { readonly kind: 'configure'; readonly configuration: Configuration; readonly why: string }

/** Members that run no server of the configuration and have been alive long enough. */
export function sparesOf(
  members: readonly MemberState[],
  { voters, learners }: Configuration,
  nowMs: number,
): string[] {
  const taken = new Set([...voters, ...learners].map(memberOf))
  return members
    .filter(({ state, sinceMs }) => state === 'alive' && nowMs - sinceMs >= stableMs)
    .map(({ name }) => name)
    .filter((name) => !taken.has(name))
    .toSorted()
}

/**
 * The one change to the voters that is due, or null (Consul's autopilot; thesis 4.2 to 4.4). In
 * this order: servers that never come back go; a voter that is dead goes when a learner is ready to
 * take its place, or when their number is even, which makes the majority smaller; a learner that is
 * ready becomes a voter while more are wanted; more learners are enrolled; what is too many goes. A
 * change that would leave less than a majority alive is none.
 */
export function nextVotersChange(state: VotersState): VotersChange | null {
  const { configuration, health, self, spares } = state
  const { voters, learners } = configuration
  const isDead = (id: ServerId): boolean => health(id).isGone || health(id).silentMs >= deadMs
  const without = (id: ServerId): Configuration => ({
    voters: voters.filter((voter) => voter !== id),
    learners: learners.filter((learner) => learner !== id),
  })
  const configure = (next: Configuration, why: string): VotersChange | null =>
    isSafe(next, health) ? { kind: 'configure', configuration: next, why } : null

  const badLearner = learners.find(isDead)
  if (badLearner !== undefined) return configure(without(badLearner), `${badLearner} is away`)
  const gone = voters.find((id) => health(id).isGone)
  if (gone !== undefined) return configure(without(gone), `${gone} is gone`)

  const ready = learners.find((id) => health(id).isReady)
  const dead = voters.find((id) => id !== self && isDead(id))
  if (dead !== undefined && (ready !== undefined || voters.length % 2 === 0))
    return configure(without(dead), `${dead} is dead`)

  const alive = voters.filter((id) => !isDead(id)).length
  const target = wantedOf(state.wanted, alive + learners.length + spares.length)
  const isShort = alive < target
  if (ready !== undefined && isShort) {
    const next = { voters: [...voters, ready], learners: learners.filter((id) => id !== ready) }
    return configure(next, `${ready} has the log`)
  }
  if (isShort && learners.length === 0 && spares[0] !== undefined)
    return { kind: 'enroll', member: spares[0] }

  if (dead !== undefined || isShort) return null
  const surplus = learners[0] ?? (voters.length > target ? lastBut(self, voters) : undefined)
  return surplus === undefined ? null : configure(without(surplus), `${target} voters are enough`)
}

/**
 * The wanted number as far as there are members: odd, because one more than that helps nobody; but
 * two when there are two.
 */
export function wantedOf(wanted: number, members: number): number {
  const most = Math.min(wanted, members)
  return most > 2 && most % 2 === 0 ? most - 1 : most
}

/**
 * Whether a majority of these voters answers: the others could not commit such a configuration, nor
 * elect a leader with it.
 */
export function isSafe({ voters }: Configuration, health: VotersState['health']): boolean {
  const answering = voters.filter((id) => health(id).isAnswering && !health(id).isGone)
  return answering.length > voters.length / 2
}

function lastBut(self: ServerId, voters: readonly ServerId[]): ServerId | undefined {
  return voters
    .filter((id) => id !== self)
    .toSorted()
    .at(-1)
}
