/**
 * The current entries of a log, by id and by version, with the root of the live ones. Since a mark,
 * changes can be undone.
 */
import { createHash } from 'node:crypto'
import { ByteWriter, type Packed, pack } from '../../base/bytes.ts'
import { bytesOf } from './quota.ts'

/** A record (or, with value null, a tombstone) at the version its owner gave it. */
export interface Entry {
  /** The kind as one character, then the key. */
  readonly id: Packed
  readonly version: number
  readonly value: Packed | null
}

/** What changed for one key. */
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
/** Versions that are hashed together: a write hashes the records of one or two such ranges. */
const versionsPerHash = 16

export class Entries {
  tombstones = 0
  /** Of the live records. */
  bytes = 0
  #byId: Map<Packed, StoredEntry> | null = null
  #order: StoredEntry[] = []
  /** The entries as of the mark, of ids that have changed since; null without one. */
  #before: Map<Packed, StoredEntry | null> | null = null
  /** The hashes of the ranges of versions, those that are old, and the root; null until asked. */
  #hashes: Map<number, Packed> | null = null
  readonly #stale = new Set<number>()
  #root: Packed | null = null

  /** Live records. */
  get size(): number {
    return (this.#byId?.size ?? 0) - this.tombstones
  }

  get isMarked(): boolean {
    return this.#before !== null
  }

  get(id: Packed): StoredEntry | undefined {
    return this.#byId?.get(id)
  }

  /** In no particular order. */
  all(): Iterable<StoredEntry> {
    return this.#byId?.values() ?? []
  }

  /** By version, ascending; replaced ones may be among them. */
  inOrder(): readonly StoredEntry[] {
    return this.#order
  }

  /** Current entries with `from < version <= to`, ascending. */
  between(from: number, to: number): StoredEntry[] {
    const found: StoredEntry[] = []
    for (let i = this.#firstAfter(from); i < this.#order.length; i++) {
      const entry = this.#order[i]!
      if (entry.version > to) break
      if (!entry.replaced) found.push(entry)
    }
    return found
  }

  /** The version of the last current entry below `version`; 0 when there is none. */
  versionBefore(version: number): number {
    let i = this.#firstAfter(version - 1) - 1
    while (i >= 0 && this.#order[i]!.replaced) i--
    return this.#order[i]?.version ?? 0
  }

  /** In place of the one of the same id. */
  store(entry: StoredEntry): void {
    this.#byId ??= new Map()
    const before = this.#byId.get(entry.id)
    if (before !== undefined) this.remove(before)
    else this.#note(entry.id, null)
    this.#byId.set(entry.id, entry)
    if (entry.value === null) this.tombstones++
    this.bytes += bytesOf(entry)
    this.#touch(entry)
    const last = this.#order.at(-1)
    if (last === undefined || last.version < entry.version) this.#order.push(entry)
    else this.#order.splice(this.#firstAfter(entry.version), 0, entry)
    this.tidy()
  }

  remove(entry: StoredEntry): void {
    this.#note(entry.id, entry)
    entry.replaced = true
    this.#byId?.delete(entry.id)
    if (entry.value === null) this.tombstones--
    this.bytes -= bytesOf(entry)
    this.#touch(entry)
  }

  /** After removals. */
  tidy(): void {
    if (this.#order.length <= 2 * (this.#byId?.size ?? 0) + maxReplaced) return
    this.#order = this.#order.filter((entry) => !entry.replaced)
  }

  /** From here on, what changes can be undone. Returns what changed since the mark before. */
  mark(): Change[] {
    const before = this.#before ?? []
    this.#before = new Map()
    return Array.from(before, ([id, entry]) => ({ id, previous: entry?.value ?? null }))
  }

  /** Back to the mark. */
  undo(): void {
    const before = this.#before ?? []
    this.#before = null
    for (const [id, entry] of before) {
      const now = this.#byId?.get(id)
      if (now !== undefined) this.remove(now)
      if (entry !== null) this.store({ ...entry, replaced: false })
    }
    this.mark()
  }

  /** The live value as of the mark, or now without one; null when there is none. */
  valueAtMark(id: Packed): Packed | null {
    const before = this.#before?.get(id)
    return (before === undefined ? this.#byId?.get(id) : before)?.value ?? null
  }

  /** The live records as of the mark, or now without one. */
  *atMark(): Generator<readonly [Packed, Packed]> {
    for (const { id, value } of this.all())
      if (value !== null && this.#before?.has(id) !== true) yield [id, value]
    for (const [id, entry] of this.#before ?? [])
      if (entry !== null && entry.value !== null) yield [id, entry.value]
  }

  /**
   * SHA-256 over the hashes of all ranges of versions that have live records, each with its number;
   * such a hash is over the records of the range in order.
   */
  root(): Packed {
    if (this.#hashes === null) {
      this.#hashes = new Map()
      for (const entry of this.all()) this.#touch(entry)
    }
    for (const range of this.#stale) {
      const first = range * versionsPerHash
      const live = this.between(first - 1, first + versionsPerHash - 1)
      const hash = hashOf(live.filter(({ value }) => value !== null))
      if (hash === null) this.#hashes.delete(range)
      else this.#hashes.set(range, hash)
    }
    this.#stale.clear()
    return (this.#root ??= hashOfHashes(this.#hashes))
  }

  #note(id: Packed, entry: StoredEntry | null): void {
    if (this.#before !== null && !this.#before.has(id)) this.#before.set(id, entry)
  }

  #touch({ version, value }: Entry): void {
    if (value === null || this.#hashes === null) return
    this.#stale.add(Math.floor(version / versionsPerHash))
    this.#root = null
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

function hashOf(live: readonly Entry[]): Packed | null {
  if (live.length === 0) return null
  const out = new ByteWriter()
  for (const { id, version, value } of live) out.varint(version).block(id).block(value!)
  return pack(createHash('sha256').update(out.bytes()).digest())
}

function hashOfHashes(hashes: ReadonlyMap<number, Packed>): Packed {
  const out = new ByteWriter()
  const inOrder = [...hashes].sort(([a], [b]) => a - b)
  for (const [range, hash] of inOrder) out.varint(range).packed(hash)
  return pack(createHash('sha256').update(out.bytes()).digest())
}
