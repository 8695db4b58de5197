import type { Clock, Timer } from 'memberlist-js'

interface StoppableTimer extends Timer {
  fn: (() => void) | undefined
}

/**
 * One process's view of a shared clock: while it is stopped its timers do not fire, but time goes
 * on.
 */
export class StoppableClock implements Clock {
  readonly #clock: Clock
  #stopped = false
  #overdue: StoppableTimer[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  now(): number {
    return this.#clock.now()
  }

  setTimeout(fn: () => void, ms: number): Timer {
    const timer: StoppableTimer = { fn }
    this.#clock.setTimeout(() => {
      if (this.#stopped) this.#overdue.push(timer)
      else timer.fn?.()
    }, ms)
    return timer
  }

  clearTimeout(timer: Timer): void {
    ;(timer as StoppableTimer).fn = undefined
  }

  stop(): void {
    this.#stopped = true
  }

  resume(): void {
    this.#stopped = false
    for (const timer of this.#overdue.splice(0)) timer.fn?.()
  }
}
