import type { Clock, Timer } from '../../src/base/clock.ts'

interface Pending {
  readonly at: number
  readonly order: number
  readonly fn: () => void
}

/** Settled promises' callbacks run between timers; this many turns are enough for our chains. */
const turnsBetweenTimers = 8

/** A clock that stands still until a test moves it. Timers fire in the order of their times. */
export class VirtualClock implements Clock {
  #now = 0
  #order = 0
  readonly #epoch: number
  readonly #pending = new Set<Pending>()

  constructor(epoch = Date.UTC(2026, 0, 1)) {
    this.#epoch = epoch
  }

  now(): number {
    return this.#now
  }

  wall(): number {
    return this.#epoch + this.#now
  }

  setTimeout(fn: () => void, ms: number): Timer {
    const pending = { at: this.#now + Math.max(0, ms), order: this.#order++, fn }
    this.#pending.add(pending)
    return pending
  }

  clearTimeout(timer: Timer): void {
    this.#pending.delete(timer as Pending)
  }

  /** Moves on by `ms`, firing what falls due and letting promises settle in between. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    for (;;) {
      await this.settle()
      const next = this.#first(until)
      if (next === undefined) break
      this.#pending.delete(next)
      this.#now = next.at
      next.fn()
    }
    this.#now = until
    await this.settle()
  }

  /** Lets promises settle without moving the time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < turnsBetweenTimers; turn++) await new Promise(setImmediate)
  }

  #first(until: number): Pending | undefined {
    let first: Pending | undefined
    for (const pending of this.#pending) {
      if (pending.at > until) continue
      if (first === undefined || pending.at < first.at) first = pending
      else if (pending.at === first.at && pending.order < first.order) first = pending
    }
    return first
  }
}
