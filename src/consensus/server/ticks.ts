import type { Clock } from '../../base/clock.ts'
import { Every } from '../../base/timers.ts'

const tickMs = 100
/** Of a busy process; one that stood still is not to take all others for silent. */
const maxAtOnce = 3

/** Calls `tick` once for each 100 ms, also when a busy event loop calls timers late. */
export class Ticks {
  readonly #clock: Clock
  readonly #tick: () => void
  readonly #every: Every
  /** The time that ticks have counted so far. */
  #countedMs = 0

  constructor(clock: Clock, tick: () => void) {
    this.#clock = clock
    this.#tick = tick
    this.#every = new Every({ clock, intervalMs: tickMs, run: () => this.#count() })
  }

  /** The first comes at once. */
  start(): void {
    this.#countedMs = this.#clock.now() - tickMs
    this.#every.start(0)
  }

  stop(): void {
    this.#every.stop()
  }

  #count(): void {
    const due = Math.round((this.#clock.now() - this.#countedMs) / tickMs)
    this.#countedMs += due * tickMs
    for (let left = Math.min(due, maxAtOnce); left > 0; left--) this.#tick()
  }
}
