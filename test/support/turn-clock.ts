import type { Clock, Timer } from '../../src/base/clock.ts'

interface Pending {
  readonly at: number
  readonly fn: () => void
}

/**
 * Virtual time that moves on by a millisecond with each turn of the event loop, for what talks over
 * sockets within this process: a message takes a few turns, on a busy machine as on a quiet one.
 */
export class TurnClock implements Clock {
  #now = 0
  #isRunning = false
  readonly #pending = new Set<Pending>()

  now(): number {
    return this.#now
  }

  wall(): number {
    return Date.UTC(2026, 0, 1) + this.#now
  }

  /**
   * Timers that fall due in the same turn fire in the order of their times, then of their setting.
   */
  setTimeout(fn: () => void, ms: number): Timer {
    const pending = { at: this.#now + Math.max(0, ms), fn }
    this.#pending.add(pending)
    if (!this.#isRunning) this.#next()
    return pending
  }

  clearTimeout(timer: Timer): void {
    this.#pending.delete(timer as Pending)
  }

  /** Resolves when so many milliseconds have passed. */
  pass(ms: number): Promise<void> {
    return new Promise((resolve) => this.setTimeout(resolve, ms))
  }

  readonly #turn = (): void => {
    this.#isRunning = false
    this.#now++
    const due = [...this.#pending].filter(({ at }) => at <= this.#now)
    for (const pending of due.sort((a, b) => a.at - b.at))
      if (this.#pending.delete(pending)) pending.fn()
    if (this.#pending.size > 0 && !this.#isRunning) this.#next()
  }

  #next(): void {
    this.#isRunning = true
    setImmediate(this.#turn)
  }
}
