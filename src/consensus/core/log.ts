import { assert } from '../../base/errors.ts'
import {
  type Configuration,
  type Entry,
  type EntryContent,
  type MessageOf,
  type Snapshot,
  entryBytes,
  limits,
} from './types.ts'

/**
 * What the log says of configuration and command version, and at which entry the configuration
 * came.
 */
interface InForce {
  readonly configuration: Configuration
  readonly version: number
  readonly since: number
}

/** The log after its snapshot, with the configuration and version in force at each index. */
export class RaftLog {
  #snapshot: Snapshot
  /** The entries after `#base`; the snapshot may be further on than `#base`. */
  #entries: Entry[]
  #base: { index: number; term: number }
  #bytes = 0
  /** Of these, those of entries that the snapshot covers, too. */
  #trailingBytes = 0
  /** The first entry that is not handed out to the disk yet. */
  #unstable: number
  /** `inForce()` at the end of the log; null when it has to be looked up. */
  #latest: InForce | null = null

  constructor(snapshot: Snapshot, entries: readonly Entry[]) {
    this.#snapshot = snapshot
    const first = entries[0]
    this.#base = { index: snapshot.index, term: snapshot.term }
    assert(first === undefined || first.index === snapshot.index + 1, 'the log has a gap')
    this.#entries = [...entries]
    this.#bytes = sum(entries)
    this.#unstable = this.lastIndex + 1
  }

  get snapshot(): Snapshot {
    return this.#snapshot
  }

  get lastIndex(): number {
    return this.#base.index + this.#entries.length
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#base.term
  }

  get lastTimeMs(): number {
    return this.#entries.at(-1)?.timeMs ?? this.#snapshot.timeMs
  }

  /** Entries that are not in the snapshot. */
  get length(): number {
    return this.lastIndex - this.#snapshot.index
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Bytes of the entries that are not in the snapshot. */
  get bytesSinceSnapshot(): number {
    return this.#bytes - this.#trailingBytes
  }

  /** The index before the first entry that is still here. */
  get baseIndex(): number {
    return this.#base.index
  }

  /** The term of that entry; null when it is compacted or not there. */
  termAt(index: number): number | null {
    if (index === this.#base.index) return this.#base.term
    return this.#entries[index - this.#base.index - 1]?.term ?? null
  }

  /** Entries from `from` on, at most `maxBytes` but always one when there is one. */
  slice(from: number, maxBytes: number, last = this.lastIndex): Entry[] {
    const result: Entry[] = []
    let bytes = 0
    for (let i = from - this.#base.index - 1; i < last - this.#base.index; i++) {
      const entry = this.#entries[i]
      assert(entry !== undefined, `entry ${from} is compacted`)
      bytes += entryBytes(entry)
      if (result.length > 0 && bytes > maxBytes) break
      if (result.length === limits.maxAppendEntries) break
      result.push(entry)
    }
    return result
  }

  /** Bytes of the entries after `index`. */
  bytesAfter(index: number): number {
    return sum(this.#entries.slice(Math.max(0, index - this.#base.index)))
  }

  /** Adds an entry of this content at the end. */
  add(term: number, timeMs: number, content: EntryContent): Entry {
    const time = Math.max(timeMs, this.lastTimeMs)
    const entry: Entry = { index: this.lastIndex + 1, term, timeMs: time, ...content }
    this.put([entry])
    return entry
  }

  /** Puts entries where they belong; what stood there and after goes. */
  put(entries: readonly Entry[]): void {
    const first = entries[0]
    if (first === undefined) return
    const keep = first.index - this.#base.index - 1
    assert(keep >= 0 && keep <= this.#entries.length, 'entries leave a gap')
    const removed = this.#entries.splice(keep)
    this.#bytes -= sum(removed)
    if ([...removed, ...entries].some(({ kind }) => kind === 'configuration' || kind === 'version'))
      this.#latest = null
    for (const entry of entries) this.#entries.push(entry)
    this.#bytes += sum(entries)
    this.#unstable = Math.min(this.#unstable, first.index)
  }

  get hasUnstable(): boolean {
    return this.#unstable <= this.lastIndex
  }

  /** The entries that the disk does not have yet; from then on it counts as having them. */
  takeUnstable(): Entry[] {
    const entries = this.#entries.slice(this.#unstable - this.#base.index - 1)
    this.#unstable = this.lastIndex + 1
    return entries
  }

  /**
   * Where a log that holds `prevTerm` at `prevIndex` may agree with this one at the latest: etcd's
   * conflict hint.
   */
  hint(prevIndex: number, prevTerm: number): { index: number; term: number } {
    let index = Math.min(prevIndex, this.lastIndex)
    while (index > this.#base.index && (this.termAt(index) ?? 0) > prevTerm) index--
    return { index, term: this.termAt(index) ?? 0 }
  }

  /**
   * Whether that candidate's log has all that may be committed here (thesis 3.6.1), and it can
   * apply it.
   */
  isCoveredBy({ lastTerm, lastIndex, knows }: MessageOf<'vote'>): boolean {
    if (knows < this.inForce().version) return false
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex)
  }

  /** Replaces all by a snapshot that came from the leader. */
  reset(snapshot: Snapshot): void {
    this.#snapshot = snapshot
    this.#base = { index: snapshot.index, term: snapshot.term }
    this.#entries = []
    this.#bytes = this.#trailingBytes = 0
    this.#latest = null
    this.#unstable = snapshot.index + 1
  }

  /**
   * Takes a snapshot of our own state at `index`, and drops what it covers but for some entries.
   */
  compact(index: number, data: Uint8Array): Snapshot {
    const term = this.termAt(index)
    assert(term !== null && index >= this.#snapshot.index, 'no snapshot of what is not there')
    const { configuration, version } = this.#inForceAt(index)
    const timeMs = this.#entries[index - this.#base.index - 1]?.timeMs ?? this.#snapshot.timeMs
    this.#snapshot = { index, term, timeMs, configuration, version, data }
    const from = this.#trailingFrom(index)
    const fromTerm = this.termAt(from)
    assert(fromTerm !== null, 'the log has a gap')
    this.#bytes -= sum(this.#entries.splice(0, from - this.#base.index))
    this.#base = { index: from, term: fromTerm }
    this.#trailingBytes = this.#bytes - this.bytesAfter(index)
    return this.#snapshot
  }

  /**
   * Configuration and version at the end of the log. The latest configuration counts as soon as it
   * is in the log, committed or not (thesis 4.1).
   */
  inForce(): InForce {
    return (this.#latest ??= this.#inForceAt(this.lastIndex))
  }

  #inForceAt(index: number): InForce {
    let { configuration, version, index: since } = this.#snapshot
    for (const entry of this.#entries) {
      if (entry.index <= this.#snapshot.index) continue
      if (entry.index > index) break
      if (entry.kind === 'version') version = entry.version
      if (entry.kind === 'configuration') ({ configuration, index: since } = entry)
    }
    return { configuration, version, since }
  }

  /** Before which entry those end that a snapshot at `index` drops. */
  #trailingFrom(index: number): number {
    let from = index
    let bytes = 0
    while (from > this.#base.index && index - from < limits.trailingEntries) {
      bytes += entryBytes(this.#entries[from - this.#base.index - 1]!)
      if (bytes > limits.maxAppendBytes) break
      from--
    }
    return from
  }
}

function sum(entries: readonly Entry[]): number {
  return entries.reduce((bytes, entry) => bytes + entryBytes(entry), 0)
}
