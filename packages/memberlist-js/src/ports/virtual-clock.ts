import { setImmediate as macrotask } from 'node:timers/promises'
import type { Clock, Timer } from './clock.ts'

interface Entry extends Timer {
  readonly at: number
  readonly order: number
  fn: (() => void) | undefined
}

/** Promise reactions wait at most this much virtual time. */
const SETTLE_EVERY_MS = 1

/**
 * A clock that only moves when told to, so that a thousand members can live for minutes in one
 * test. Calls due at the same instant run in the order in which they were asked for: runs are
 * repeatable.
 *
 * Promises do not run inside a call. The clock lets all reactions run after each millisecond, and
 * at once when {@link settle} was called, as the in-memory streams do whenever they resolve one.
 */
export class VirtualClock implements Clock {
  #now = 0
  #order = 0
  #unsettled = false
  #settledAt = 0
  readonly #heap: Entry[] = []

  now(): number {
    return this.#now
  }

  setTimeout(fn: () => void, ms: number): Timer {
    const entry: Entry = { at: this.#now + Math.max(0, ms), order: this.#order++, fn }
    this.#push(entry)
    return entry
  }

  clearTimeout(timer: Timer): void {
    ;(timer as Entry).fn = undefined
  }

  /** Lets promise reactions run before the next timer fires. */
  settle(): void {
    this.#unsettled = true
  }

  /** Moves time forward by `ms`, running everything that falls due. */
  async advance(ms: number): Promise<void> {
    await this.advanceUntil(() => false, ms)
  }

  /**
   * Moves time forward until `done()` holds, at most `ms`. `done` is asked after each timer.
   * Returns whether it came to hold.
   */
  async advanceUntil(done: () => boolean, ms: number): Promise<boolean> {
    const end = this.#now + ms
    await macrotask()
    for (;;) {
      if (done()) return true
      if (this.#unsettled) {
        await this.#runReactions(this.#now)
        continue
      }
      const next = this.#peek()
      if (next === undefined || next.at > end) break
      if (next.at - this.#settledAt >= SETTLE_EVERY_MS) {
        await this.#runReactions(next.at)
        continue
      }
      this.#pop()
      this.#now = next.at
      const fn = next.fn
      next.fn = undefined
      fn?.()
    }
    this.#now = end
    await macrotask()
    return done()
  }

  async #runReactions(at: number): Promise<void> {
    this.#unsettled = false
    this.#settledAt = at
    await macrotask()
  }

  #peek(): Entry | undefined {
    while (this.#heap[0] !== undefined && this.#heap[0].fn === undefined) this.#pop()
    return this.#heap[0]
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]!
      if (!before(entry, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
