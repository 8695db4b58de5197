import type { Clock, Timer } from '../ports/clock.ts'
import { fraction, type Random } from '../ports/random.ts'

/**
 * Calls `tick` every `intervalMs`, the first time after a random part of it, so that members that
 * start together do not act together. A tick that comes late does not make the next ones hurry. An
 * interval of 0 never ticks.
 */
export class Ticker {
  readonly #clock: Clock
  readonly #random: Random
  readonly #interval: () => number
  readonly #tick: () => void
  #timer: Timer | undefined

  constructor(clock: Clock, random: Random, interval: () => number, tick: () => void) {
    this.#clock = clock
    this.#random = random
    this.#interval = interval
    this.#tick = tick
  }

  start(): void {
    const interval = this.#interval()
    if (interval > 0) this.#arm(this.#clock.now() + fraction(this.#random) * interval)
  }

  stop(): void {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #arm(due: number): void {
    const now = this.#clock.now()
    this.#timer = this.#clock.setTimeout(
      () => {
        this.#arm(Math.max(due, this.#clock.now() - this.#interval()) + this.#interval())
        this.#tick()
      },
      Math.max(0, due - now),
    )
  }
}
