import type { Clock, Timer } from '../../../src/base/clock.ts'

interface Event {
  readonly at: number
  readonly order: number
  fn: (() => void) | null
}

/**
 * Virtual time for many members: a heap of timers. After each one all promises settle before the
 * next, so a run depends on nothing but its seed.
 */
export class EventClock implements Clock {
  #now = 0
  #order = 0
  #events = 0
  readonly #heap: Event[] = []
  readonly #epoch: number

  constructor(epoch = Date.UTC(2026, 0, 1)) {
    this.#epoch = epoch
  }

  /** Timers fired so far. */
  get events(): number {
    return this.#events
  }

  now(): number {
    return this.#now
  }

  wall(): number {
    return this.#epoch + Math.floor(this.#now)
  }

  setTimeout(fn: () => void, ms: number): Timer {
    const event: Event = { at: this.#now + Math.max(0, ms), order: this.#order++, fn }
    this.#push(event)
    return event
  }

  clearTimeout(timer: Timer): void {
    ;(timer as Event).fn = null
  }

  /** Moves on by `ms`. */
  async advance(ms: number): Promise<void> {
    await this.until(() => false, ms)
  }

  /** Moves on until `done` holds, looking after every timer, or for `ms`. Whether it holds. */
  async until(done: () => boolean, ms: number): Promise<boolean> {
    const end = this.#now + ms
    await new Promise(setImmediate)
    while (!done()) {
      const next = this.#heap[0]
      if (next === undefined || next.at > end) {
        this.#now = end
        return done()
      }
      this.#pop()
      if (next.fn === null) continue
      this.#now = next.at
      this.#events++
      next.fn()
      await new Promise(setImmediate)
    }
    return true
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(event, heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
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

/** One host's clock: runs with the others, but tells a time of day of its own. */
export class HostClock implements Clock {
  readonly #clock: EventClock
  #offsetMs = 0

  constructor(clock: EventClock) {
    this.#clock = clock
  }

  /** The time of day jumps, forwards or back. */
  jump(ms: number): void {
    this.#offsetMs += ms
  }

  now(): number {
    return this.#clock.now()
  }

  wall(): number {
    return this.#clock.wall() + this.#offsetMs
  }

  setTimeout(fn: () => void, ms: number): Timer {
    return this.#clock.setTimeout(fn, ms)
  }

  clearTimeout(timer: Timer): void {
    this.#clock.clearTimeout(timer)
  }
}

function before(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
