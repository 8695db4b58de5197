/**
 * What a claim about a member means, given what is known: pure functions, in the order of checks
 * that memberlist has, because peers only agree if they judge alike. Equal incarnations rank dead
 * and left over suspect over alive; a higher incarnation overrules all, and only the member itself
 * raises it.
 */
import { MAX_INCARNATION_JUMP, MAX_INCARNATION_STEP } from '../limits.ts'
import { sameVersions, type Member, type Versions } from '../member.ts'
import type { SocketAddress } from '../socket-address.ts'

/** An alive message, decoded and checked. */
export interface AliveClaim extends SocketAddress {
  readonly name: string
  readonly incarnation: number
  readonly meta: Uint8Array
  readonly versions: Versions
}

/** A suspect or dead message. */
export interface Accusation {
  readonly name: string
  readonly incarnation: number
  readonly from: string
}

/** What we know of the accused or praised, and of ourselves. */
export interface Knowledge {
  readonly known: Member | undefined
  /** Whether the claim is about this very process. */
  readonly self: boolean
  /** Whether this process is leaving. */
  readonly leaving: boolean
  readonly now: number
}

export type Verdict =
  /** Nothing new, or not to be believed. */
  | { readonly act: 'ignore' }
  /** Another address claims the name of a member that is not gone. */
  | { readonly act: 'conflict'; readonly claimant: Member }
  /** It is about us and wrong: contradict, above `incarnation`. */
  | { readonly act: 'refute'; readonly incarnation: number }
  /** One more member holds the suspicion that we hold. */
  | { readonly act: 'confirm' }
  /** Believe it, replace what we know, pass it on. */
  | { readonly act: 'accept'; readonly member: Member }

const ignore: Verdict = { act: 'ignore' }

/**
 * Judges an alive message. `reclaimAfterMs` is how long a member must have been dead before another
 * address may have its name (0: never; a member that left gives it up at once).
 */
export function judgeAlive(
  claim: AliveClaim,
  { known, self, leaving, now }: Knowledge,
  reclaimAfterMs: number,
): Verdict {
  if (self && leaving) return ignore
  if (leaps(claim, known)) return ignore
  if (known === undefined) return { act: 'accept', member: asAlive(claim, now) }
  const moved = known.address !== claim.address || known.port !== claim.port
  if (moved && !givesUpName(known, now, reclaimAfterMs)) {
    return { act: 'conflict', claimant: asAlive(claim, now) }
  }
  if (self) return judgeOwnAlive(claim, known)
  if (!moved && claim.incarnation <= known.incarnation) return ignore
  return { act: 'accept', member: asAlive(claim, known.state === 'alive' ? known.since : now) }
}

function judgeOwnAlive(claim: AliveClaim, known: Member): Verdict {
  if (claim.incarnation < known.incarnation) return ignore
  const identical =
    claim.incarnation === known.incarnation &&
    Buffer.compare(claim.meta, known.meta) === 0 &&
    sameVersions(claim.versions, known.versions)
  return identical ? ignore : refute(claim, known)
}

function givesUpName(known: Member, now: number, reclaimAfterMs: number): boolean {
  if (known.state === 'left') return true
  return known.state === 'dead' && reclaimAfterMs > 0 && now - known.since > reclaimAfterMs
}

/** Judges a suspect message. `suspected` tells whether a suspicion of ours is running already. */
export function judgeSuspect(
  accusation: Accusation,
  { known, self, now }: Knowledge,
  suspected: boolean,
): Verdict {
  if (known === undefined || accusation.incarnation < known.incarnation) return ignore
  if (leaps(accusation, known, self ? MAX_INCARNATION_JUMP : MAX_INCARNATION_STEP)) return ignore
  if (suspected) return { act: 'confirm' }
  if (known.state !== 'alive') return ignore
  if (self) return refute(accusation, known)
  return accept(known, 'suspect', accusation.incarnation, now)
}

/**
 * Judges a dead message; one that comes from the member itself is its goodbye. Unlike Go, a goodbye
 * also turns a dead member into one that left: whoever saw it fail first would otherwise wait for
 * its return.
 */
export function judgeDead(
  accusation: Accusation,
  { known, self, leaving, now }: Knowledge,
): Verdict {
  if (known === undefined || accusation.incarnation < known.incarnation) return ignore
  if (leaps(accusation, known, self ? MAX_INCARNATION_JUMP : MAX_INCARNATION_STEP)) return ignore
  const goodbye = accusation.from === accusation.name
  if (known.state === 'left' || (known.state === 'dead' && !goodbye)) return ignore
  if (self && !leaving) return refute(accusation, known)
  return accept(known, goodbye ? 'left' : 'dead', accusation.incarnation, now)
}

/** The incarnation that overrules an accusation: above it, and above our own. */
export function refutingIncarnation(own: number, accused: number): number {
  return Math.max(own, accused) + 1
}

function refute({ incarnation }: { readonly incarnation: number }, own: Member): Verdict {
  const most = own.incarnation + MAX_INCARNATION_STEP
  return { act: 'refute', incarnation: Math.min(incarnation, most) }
}

function accept(known: Member, state: Member['state'], incarnation: number, now: number): Verdict {
  return { act: 'accept', member: { ...known, state, incarnation, since: now } }
}

function asAlive(claim: AliveClaim, since: number): Member {
  const { name, address, port, meta, versions, incarnation } = claim
  return { name, address, port, meta, versions, incarnation, state: 'alive', since }
}

/** A claim so far ahead that the member could soon not count any higher. Go has no such guard. */
function leaps(
  claim: { readonly incarnation: number },
  known: Member | undefined,
  most = MAX_INCARNATION_JUMP,
): boolean {
  return claim.incarnation > (known?.incarnation ?? 0) + most
}
