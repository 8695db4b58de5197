/** One member's records as another has them, and which of them count. */
import type { Ip } from '../../net/ip.ts'
import type { Packed } from '../../base/bytes.ts'
import type { Hash } from './digest.ts'
import type { VersionSummary } from '../wire/frames.ts'
import { OriginLog } from './origin-log.ts'
import type { Standing } from '../visibility.ts'

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

/** As its replica holds it. `hash` is what the digest has of it. */
export type MutableOrigin = { -readonly [K in keyof Origin]: Origin[K] } & { hash: Hash | null }

/** How far a log has got. */
export function summaryOf({ oid, epoch, coverage, head }: OriginLog): VersionSummary {
  return { oid, epoch, prefix: coverage.prefix, head }
}

/** What counts of an origin, in no particular order: nothing unless it is visible. */
export function visibleRecords(origin: Origin): Iterable<readonly [Packed, Packed]> {
  return origin.standing === 'visible' ? (origin.shown ?? origin.log.live()) : []
}

/** The value that counts for an id; null when none does. */
export function visibleValue(origin: Origin, id: Packed): Packed | null {
  if (origin.standing !== 'visible') return null
  return origin.shown === null ? origin.log.value(id) : (origin.shown.get(id) ?? null)
}

/** Of which nothing is known but that it is. */
export function blankOrigin(oid: Packed, epoch: number, now: number): MutableOrigin {
  const log = new OriginLog(oid, epoch)
  const bare = { self: false, name: null, address: null, shown: null, hash: null }
  return { ...bare, oid, log, standing: 'unknown', sinceMs: now }
}
