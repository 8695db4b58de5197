/**
 * One member's records in a replica, and whether they are visible. Death hides them, because the
 * member may only be cut off: when it answers again they are visible at once, and nothing has to be
 * sent. Leaving drops them, because the owner said so. Records whose owner is not a member (yet)
 * are kept hidden: a record often arrives before the join of its owner.
 */
import type { Ip } from '../../net/ip.ts'
import type { Packed } from '../../base/bytes.ts'
import type { MemberState } from '../gossip/gossip-transport.ts'
import type { EpochTombstone } from './epoch-tombstones.ts'
import type { Hash } from './digest.ts'
import { type Entry, OriginLog } from './origin-log.ts'

/** `unknown`: no member of that name was heard of. `gone`: no longer in the replica. */
export type Standing = 'visible' | 'hidden' | 'unknown' | 'gone'

/** Origins that write or send and are no members here, at most. */
export const maxUnknownOrigins = 4096

/** How far a member has the log of one origin. */
export interface VersionSummary {
  readonly oid: Packed
  readonly epoch: number
  readonly prefix: number
  /** The highest version heard of; `prefix` when nothing is missing. */
  readonly head: number
}

/** What became of something heard about an origin. */
export type ApplyResult =
  /** `entries` are those that were new. */
  | { readonly kind: 'applied'; readonly origin: Origin; readonly entries: readonly Entry[] }
  /** About an epoch that is over. */
  | { readonly kind: 'over'; readonly tombstone: EpochTombstone }
  /** About an older epoch than the one that is here. */
  | { readonly kind: 'stale'; readonly origin: Origin }
  /** About ourselves. */
  | { readonly kind: 'self' }
  /** About an unknown origin, of which there are too many. */
  | { readonly kind: 'refused' }

/** One member's records here. */
export interface Origin {
  readonly oid: Packed
  readonly self: boolean
  readonly name: string | null
  readonly address: Ip | null
  readonly log: OriginLog
  readonly standing: Standing
  /** When the standing or, while `shown` is set, the epoch changed. */
  readonly sinceMs: number
  /** The records of the epoch before, while those of this one are not all here. */
  readonly shown: ReadonlyMap<Packed, Packed> | null
}

/** Called before a visible record changes. */
export type Mark = (origin: Origin, id: Packed, previous: Packed | null) => void

/** What membership knows of a member; the epoch is that of its metadata. */
export type MemberStatus = { name: string; state: MemberState; address: Ip; epoch: number }

/** How long things are kept; see ClusterOptions. */
export interface ReplicaLimits {
  readonly pendingEpochMs: number
  readonly hiddenHoldMs: number
  readonly epochTombstoneMs: number
  readonly tombstoneMs: number
  readonly maxTombstones: number
}

/** As the replica holds it. `hash` is its hash in the digest. */
export type MutableOrigin = { -readonly [K in keyof Origin]: Origin[K] } & { hash: Hash | null }

/** How far a log is; none while nothing was heard: others would take the epoch for empty. */
export function summariesOf({ oid, epoch, coverage, head, heard }: OriginLog): VersionSummary[] {
  return heard ? [{ oid, epoch, prefix: coverage.prefix, head }] : []
}

/** An origin's visible records, in no particular order. */
export function visibleRecords(origin: Origin): Iterable<readonly [Packed, Packed]> {
  return origin.standing === 'visible' ? (origin.shown ?? origin.log.live()) : []
}

/** The visible value of an id; null when there is none. */
export function visibleValue(origin: Origin, id: Packed): Packed | null {
  if (origin.standing !== 'visible') return null
  return origin.shown === null ? origin.log.value(id) : (origin.shown.get(id) ?? null)
}

/** An origin of which nothing is known but its id. */
export function blankOrigin(oid: Packed, epoch: number, now: number): MutableOrigin {
  const log = new OriginLog(oid, epoch)
  const bare = { self: false, name: null, address: null, shown: null, hash: null }
  return { ...bare, oid, log, standing: 'unknown', sinceMs: now }
}
