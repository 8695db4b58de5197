/**
 * One origin's records in one epoch, as a replica or as the owner holds them.
 *
 * Invariant: for every covered version, the log has that version's record, or knows that a later
 * version replaced it. So a record with a covered version that the log does not have is an old one,
 * and is ignored: nothing that its owner deleted comes back. No clock takes part in this; `at` only
 * says which tombstones are old enough to drop.
 *
 * Dropping a tombstone raises the floor. A replica whose prefix is below a sender's floor may lack
 * deletions that the sender no longer has, so it covers those versions only by a reset: a list of
 * all records that are left of the versions up to the sender's prefix. A reset may come in pieces,
 * in any order. A piece clears its own range at once, but is covered only together with all pieces
 * below it: a deletion in its range may have been of a record in one of those.
 */
import { assert } from '../../base/errors.ts'
import type { Packed } from '../../base/bytes.ts'
import { hasRoomFor } from './quota.ts'
import { type Change, Entries, type Entry } from './entries.ts'
import { type SignedHead, headText } from './signed-head.ts'
import { type Coverage, type Range, coverageTo, covers, runStart, withRange } from './coverage.ts'

/** A range of versions and all entries whose current version lies in it, ascending. */
export interface DeltaRange extends Range {
  readonly entries: readonly Entry[]
}

/** What one member sends another about one origin. */
export interface Delta {
  readonly oid: Packed
  readonly epoch: number
  /** The sender may lack tombstones up to this version. */
  readonly floor: number
  /** The highest version that the sender has heard of. */
  readonly head: number
  /** Not null: a reset. As of this version, the sender's prefix, other records are gone. */
  readonly reset: number | null
  /** An answer to a delta request: not to be passed on, others have it. */
  readonly repair: boolean
  readonly ranges: readonly DeltaRange[]
  /** The owner's; absent where logs are not signed. */
  readonly signed?: SignedHead
}

/** A state of the log that its owner has signed. */
interface Proved {
  readonly version: number
  readonly coverage: Coverage
  readonly settled: Coverage
}

/** How an owner signs a head. */
export type SignHead = (text: Uint8Array) => Omit<SignedHead, 'version' | 'root'>

export type { Entry } from './entries.ts'

export class OriginLog {
  readonly oid: Packed
  readonly epoch: number
  /** Whether anything of this epoch was heard, even if only that it is empty. */
  heard = false
  #coverage: Coverage = coverageTo(0)
  #floor = 0
  #head = 0
  /** Ranges that pieces of a reset have cleared; old records in them are ignored too. */
  #settled: Coverage = coverageTo(0)
  /** The reset under way, and the versions of it that are here. */
  #reset: { readonly to: number; done: Coverage } | null = null
  readonly #entries = new Entries()
  /**
   * What came since the last signed head did not lead to the next one: somebody has changed what it
   * passed on. Then the owner alone is listened to, until it does.
   */
  disputed = false
  readonly #sign: SignHead | null
  #signed: SignedHead | null = null
  #proved: Proved = { version: 0, coverage: coverageTo(0), settled: coverageTo(0) }

  /** `sign` is the owner's. */
  constructor(oid: Packed, epoch: number, sign: SignHead | null = null) {
    this.oid = oid
    this.epoch = epoch
    this.#sign = sign
  }

  /** The highest head that the owner has signed; null where logs are not signed. */
  get signed(): SignedHead | null {
    if (this.#sign === null) return this.#signed
    const head = { version: this.#head, root: this.#entries.root() }
    return { ...head, ...this.#sign(headText(this, head)) }
  }

  get coverage(): Coverage {
    return this.#coverage
  }

  get floor(): number {
    return this.#floor
  }

  get head(): number {
    return this.#head
  }

  get tombstones(): number {
    return this.#entries.tombstones
  }

  /** Live records. */
  get size(): number {
    return this.#entries.size
  }

  /** Whether everything that its owner is known to have written is here. */
  get complete(): boolean {
    return this.heard && this.#coverage.prefix >= this.#head && this.#isProved
  }

  /** The live value, as of the last signed head where logs are signed; null when there is none. */
  value(id: Packed): Packed | null {
    return this.#entries.valueAtMark(id)
  }

  /** The entry as it is stored, tombstones too. */
  entry(id: Packed): Entry | undefined {
    return this.#entries.get(id)
  }

  /** Live records as of the last signed head, in no particular order. */
  live(): Iterable<readonly [Packed, Packed]> {
    return this.#entries.atMark()
  }

  /** For the owner: gives the next version to a value, or with null to its deletion. */
  write(id: Packed, value: Packed | null, now: number): Entry {
    const version = this.#head + 1
    assert(this.#coverage.prefix === this.#head, 'only an owner, who has it all, writes')
    const entry = { id, version, value, at: now, replaced: false }
    this.#entries.store(entry)
    this.#head = version
    this.#coverage = coverageTo(version)
    this.heard = true
    return entry
  }

  /** Learns that the owner has written this far. */
  hearOf(head: number): void {
    this.heard = true
    if (head > this.#head) this.#head = head
  }

  /**
   * Applies a delta of this epoch; returns the changes and the entries that were new. Deltas in any
   * order, repeated or lost, lead to the same log once all versions are covered.
   */
  apply(delta: Delta, now: number): { changes: Change[]; entries: Entry[] } {
    assert(delta.epoch === this.epoch && delta.oid === this.oid, 'a delta for another log')
    const changes: Change[] = []
    const entries: Entry[] = []
    this.hearOf(delta.head)
    this.#expect(delta.signed)
    for (const range of delta.ranges) {
      if (delta.reset !== null) this.#openReset(delta.reset)
      for (const entry of range.entries) {
        const before = this.#entries.get(entry.id)
        if (this.#knows(entry.version)) continue
        if (before !== undefined && before.version >= entry.version) continue
        if (!hasRoomFor(this.#entries, entry, before)) continue
        const { id, version, value } = entry
        this.#entries.store({ id, version, value, at: now, replaced: false })
        changes.push({ id, previous: before?.value ?? null })
        entries.push(entry)
      }
      if (delta.reset === null) this.#cover(range, delta.floor)
      else if (delta.reset === this.#reset?.to)
        changes.push(...this.#applyReset(range, delta.floor))
    }
    return this.#signed === null ? { changes, entries } : { changes: this.#prove(), entries }
  }

  /** Current entries with `from < version <= to`, ascending. */
  between(from: number, to: number): Entry[] {
    return this.#entries.between(from, to)
  }

  /**
   * The lowest `from` for which `(from, version]` is covered and holds no other current entry: the
   * range that a sender may state with the entry at `version` alone.
   */
  rangeStart(version: number): number {
    return Math.max(this.#entries.versionBefore(version), runStart(this.#coverage, version))
  }

  /**
   * Drops tombstones written before `before`, and above `limit` the oldest. Only those in the
   * prefix go, since the floor speaks for everything below it.
   */
  dropTombstones(before: number, limit: number): void {
    if (this.tombstones === 0) return
    let excess = this.tombstones - limit
    for (const entry of this.#entries.inOrder()) {
      if (entry.version > this.#coverage.prefix) break
      if (entry.replaced || entry.value !== null) continue
      if (excess <= 0 && entry.at >= before) continue
      excess--
      this.#entries.remove(entry)
      this.#floor = Math.max(this.#floor, entry.version)
    }
    this.#entries.tidy()
  }

  /** What comes from here on has to lead to that head. */
  #expect(signed: SignedHead | undefined): void {
    if (signed === undefined || signed.version < (this.#signed?.version ?? 0)) return
    this.#signed = signed
    if (!this.#entries.isMarked) this.#entries.mark()
  }

  /**
   * At a signed head: whether the records are those that the owner had then. If so they are visible
   * from now on; if not, all that came since the head before is undone. What the owner itself has
   * sent is not held against it. Returns what changed of the visible ones.
   */
  #prove(): Change[] {
    const { prefix, above } = this.#coverage
    const isThere = prefix === this.#signed?.version && prefix >= this.#head && above.length === 0
    if (!isThere || this.#isProved) return []
    if (this.#entries.root() === this.#signed!.root || this.disputed) {
      this.disputed = false
      this.#proved = { version: prefix, coverage: this.#coverage, settled: this.#settled }
      return this.#entries.mark()
    }
    this.disputed = true
    this.#coverage = this.#proved.coverage
    this.#settled = this.#proved.settled
    this.#reset = null
    this.#entries.undo()
    return []
  }

  get #isProved(): boolean {
    return this.#signed === null || this.#proved.version === this.#coverage.prefix
  }

  #knows(version: number): boolean {
    return covers(this.#coverage, version) || covers(this.#settled, version)
  }

  #cover({ from, to }: Range, floor: number): void {
    if (to > this.#head) this.#head = to
    this.#coverage = withRange(this.#coverage, { from: Math.max(from, floor), to })
  }

  /** Pieces as of the same version belong together; a later version starts another reset. */
  #openReset(to: number): void {
    if (to <= this.#coverage.prefix || (this.#reset !== null && to <= this.#reset.to)) return
    this.#reset = { to, done: coverageTo(0) }
  }

  /** Deletes what a piece of the reset does not list: it was replaced or deleted. */
  #applyReset(range: DeltaRange, floor: number): Change[] {
    const reset = this.#reset!
    const to = Math.min(range.to, reset.to)
    const listed = new Set(range.entries.map((entry) => entry.version))
    const changes: Change[] = []
    for (const entry of this.#entries.between(range.from, to)) {
      if (listed.has(entry.version)) continue
      this.#entries.remove(entry)
      if (entry.value !== null) changes.push({ id: entry.id, previous: entry.value })
    }
    this.#entries.tidy()
    this.#floor = Math.max(this.#floor, floor)
    reset.done = withRange(reset.done, { from: range.from, to })
    this.#settled = withRange(this.#settled, { from: range.from, to })
    this.#cover({ from: 0, to: reset.done.prefix }, 0)
    if (reset.done.prefix >= reset.to) this.#reset = null
    return changes
  }
}
