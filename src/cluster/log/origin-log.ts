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
import { bytesOf, hasRoomFor } from './quota.ts'
import { type Coverage, type Range, coverageTo, covers, runStart, withRange } from './coverage.ts'

/** A record (or, with value null, a tombstone) at the version its owner gave it. */
export interface Entry {
  /** The kind as one character, then the key. */
  readonly id: Packed
  readonly version: number
  readonly value: Packed | null
}

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
}

/** What an applied delta changed for one key. */
export interface Change {
  readonly id: Packed
  readonly previous: Packed | null
}

interface StoredEntry extends Entry {
  readonly at: number
  /** Replaced by a later version, or removed by a reset; `#order` may still hold it. */
  replaced: boolean
}

/** `#order` may hold this many replaced entries before they are removed. */
const maxReplaced = 32

export class OriginLog {
  readonly oid: Packed
  readonly epoch: number
  /** Whether anything of this epoch was heard, even if only that it is empty. */
  heard = false
  #coverage: Coverage = coverageTo(0)
  #floor = 0
  #head = 0
  #tombstones = 0
  #bytes = 0
  /** Ranges that pieces of a reset have cleared; old records in them are ignored too. */
  #settled: Coverage = coverageTo(0)
  /** The reset under way, and the versions of it that are here. */
  #reset: { readonly to: number; done: Coverage } | null = null
  #entries: Map<Packed, StoredEntry> | null = null
  #order: StoredEntry[] = []

  constructor(oid: Packed, epoch: number) {
    this.oid = oid
    this.epoch = epoch
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
    return this.#tombstones
  }

  /** Live records. */
  get size(): number {
    return (this.#entries?.size ?? 0) - this.#tombstones
  }

  /** Whether everything that its owner is known to have written is here. */
  get complete(): boolean {
    return this.heard && this.#coverage.prefix >= this.#head
  }

  /** The live value; null when there is none. */
  value(id: Packed): Packed | null {
    return this.#entries?.get(id)?.value ?? null
  }

  /** The entry as it is stored, tombstones too. */
  entry(id: Packed): Entry | undefined {
    return this.#entries?.get(id)
  }

  /** Live records in no particular order. */
  *live(): Generator<readonly [Packed, Packed]> {
    if (this.#entries === null) return
    for (const entry of this.#entries.values()) {
      if (entry.value !== null) yield [entry.id, entry.value]
    }
  }

  /** For the owner: gives the next version to a value, or with null to its deletion. */
  write(id: Packed, value: Packed | null, now: number): Entry {
    const version = this.#head + 1
    assert(this.#coverage.prefix === this.#head, 'only an owner, who has it all, writes')
    const entry = { id, version, value, at: now, replaced: false }
    this.#store(entry)
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
    for (const range of delta.ranges) {
      if (delta.reset !== null) this.#openReset(delta.reset)
      for (const entry of range.entries) {
        const before = this.#entries?.get(entry.id)
        if (this.#knows(entry.version)) continue
        if (before !== undefined && before.version >= entry.version) continue
        if (!hasRoomFor({ size: this.size, bytes: this.#bytes }, entry, before)) continue
        const { id, version, value } = entry
        this.#store({ id, version, value, at: now, replaced: false })
        changes.push({ id, previous: before?.value ?? null })
        entries.push(entry)
      }
      if (delta.reset === null) this.#cover(range, delta.floor)
      else if (delta.reset === this.#reset?.to)
        changes.push(...this.#applyReset(range, delta.floor))
    }
    return { changes, entries }
  }

  /** Current entries with `from < version <= to`, ascending. */
  between(from: number, to: number): Entry[] {
    return this.#stored(from, to)
  }

  /**
   * The lowest `from` for which `(from, version]` is covered and holds no other current entry: the
   * range that a sender may state with the entry at `version` alone.
   */
  rangeStart(version: number): number {
    let i = this.#firstAfter(version - 1) - 1
    while (i >= 0 && this.#order[i]!.replaced) i--
    return Math.max(this.#order[i]?.version ?? 0, runStart(this.#coverage, version))
  }

  /**
   * Drops tombstones written before `before`, and above `limit` the oldest. Only those in the
   * prefix go, since the floor speaks for everything below it.
   */
  dropTombstones(before: number, limit: number): void {
    if (this.#tombstones === 0) return
    let excess = this.#tombstones - limit
    for (const entry of this.#order) {
      if (entry.version > this.#coverage.prefix) break
      if (entry.replaced || entry.value !== null) continue
      if (excess <= 0 && entry.at >= before) continue
      excess--
      this.#remove(entry)
      this.#floor = Math.max(this.#floor, entry.version)
    }
    this.#tidy()
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
    for (const entry of this.#stored(range.from, to)) {
      if (listed.has(entry.version)) continue
      this.#remove(entry)
      if (entry.value !== null) changes.push({ id: entry.id, previous: entry.value })
    }
    this.#tidy()
    this.#floor = Math.max(this.#floor, floor)
    reset.done = withRange(reset.done, { from: range.from, to })
    this.#settled = withRange(this.#settled, { from: range.from, to })
    this.#cover({ from: 0, to: reset.done.prefix }, 0)
    if (reset.done.prefix >= reset.to) this.#reset = null
    return changes
  }

  #stored(from: number, to: number): StoredEntry[] {
    const found: StoredEntry[] = []
    for (let i = this.#firstAfter(from); i < this.#order.length; i++) {
      const entry = this.#order[i]!
      if (entry.version > to) break
      if (!entry.replaced) found.push(entry)
    }
    return found
  }

  #store(entry: StoredEntry): void {
    this.#entries ??= new Map()
    const before = this.#entries.get(entry.id)
    if (before !== undefined) this.#remove(before)
    this.#entries.set(entry.id, entry)
    if (entry.value === null) this.#tombstones++
    this.#bytes += bytesOf(entry)
    const last = this.#order.at(-1)
    if (last === undefined || last.version < entry.version) this.#order.push(entry)
    else this.#order.splice(this.#firstAfter(entry.version), 0, entry)
    this.#tidy()
  }

  #remove(entry: StoredEntry): void {
    entry.replaced = true
    this.#entries?.delete(entry.id)
    if (entry.value === null) this.#tombstones--
    this.#bytes -= bytesOf(entry)
  }

  #tidy(): void {
    if (this.#order.length <= 2 * (this.#entries?.size ?? 0) + maxReplaced) return
    this.#order = this.#order.filter((entry) => !entry.replaced)
  }

  #firstAfter(version: number): number {
    let low = 0
    let high = this.#order.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#order[middle]!.version <= version) low = middle + 1
      else high = middle
    }
    return low
  }
}
