/**
 * Rumours to be sent, each a number of times. A newer version of a record takes the place of the
 * older one. Own rumours go first, then those sent least often; when the queue is full, the last in
 * that order are dropped. Anti-entropy brings them: a member that hears of a later version requests
 * the versions it lacks.
 */
import type { Packed } from '../../base/bytes.ts'

/** One thing to send. The record's value is read from the log when it is sent. */
export interface Rumour {
  readonly kind: 'entry' | 'head' | 'leave'
  readonly oid: Packed
  readonly epoch: number
  /** The record's id; empty for the other kinds. */
  readonly id: Packed
  readonly version: number
  /** The owner's, of a leave; empty for the other kinds. */
  readonly signature: Packed
  readonly own: boolean
  /** Its size in a packet, about. */
  readonly bytes: number
}

interface Queued {
  readonly item: Rumour
  left: number
}

export class RumourQueue {
  readonly #maxBytes: number
  readonly #queued = new Map<string, Queued>()
  #bytes = 0
  #dropped = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get size(): number {
    return this.#queued.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Rumours dropped because the queue was full. */
  get dropped(): number {
    return this.#dropped
  }

  /** Adds a rumour to be sent `times` times, in place of the one that it supersedes. */
  add(item: Rumour, times: number): void {
    const key = `${item.oid}${item.kind}${item.id}`
    const before = this.#queued.get(key)
    if (before !== undefined) this.#remove(key, before)
    this.#queued.set(key, { item, left: times })
    this.#bytes += item.bytes
    if (this.#bytes > this.#maxBytes) this.#shed()
  }

  /** The rumours to send next, of about `bytes` bytes; counts each as sent to `recipients`. */
  take(bytes: number, recipients: number): Rumour[] {
    let chosen = [...this.#queued]
    if (this.#bytes > bytes) chosen = firstOf(chosen.sort(byUrgency), bytes)
    for (const [key, queued] of chosen) {
      queued.left -= recipients
      if (queued.left <= 0) this.#remove(key, queued)
    }
    return chosen.map(([, { item }]) => item)
  }

  clear(): void {
    this.#queued.clear()
    this.#bytes = 0
  }

  /** Down to three quarters, so that a full queue is not sorted for every item. */
  #shed(): void {
    const sorted = [...this.#queued].sort(byUrgency)
    while (this.#bytes > (this.#maxBytes * 3) / 4) {
      const last = sorted.pop()
      if (last === undefined) return
      this.#remove(...last)
      this.#dropped++
    }
  }

  #remove(key: string, { item }: Queued): void {
    this.#queued.delete(key)
    this.#bytes -= item.bytes
  }
}

function byUrgency([, a]: readonly [string, Queued], [, b]: readonly [string, Queued]): number {
  return a.item.own === b.item.own ? b.left - a.left : a.item.own ? -1 : 1
}

function firstOf(sorted: [string, Queued][], bytes: number): [string, Queued][] {
  let used = 0
  const end = sorted.findIndex(([, { item }]) => (used += item.bytes) > bytes)
  return end === -1 ? sorted : sorted.slice(0, Math.max(1, end))
}
