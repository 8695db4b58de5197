/** The library's virtual clock, with a time of day. */
import { VirtualClock as LibraryClock } from 'memberlist-js'
import type { Clock, Timer } from '../../src/base/clock.ts'

const defaultEpoch = Date.UTC(2026, 0, 1)

/** After a timer, promises settle; this many turns are enough for those that wait for a disk. */
const turnsAfterTimer = 8

/** A clock that stands still until a test moves it. Promises settle after each timer. */
export class VirtualClock extends LibraryClock implements Clock {
  readonly #epoch: number

  constructor(epoch = defaultEpoch) {
    super()
    this.#epoch = epoch
  }

  wall(): number {
    return this.#epoch + Math.floor(this.now())
  }

  override setTimeout(fn: () => void, ms: number): Timer {
    return super.setTimeout(() => {
      fn()
      super.settle()
    }, ms)
  }

  override async advance(ms: number): Promise<void> {
    await this.settled()
    await super.advance(ms)
    await this.settled()
  }

  /** Lets promises settle without moving the time. */
  async settled(): Promise<void> {
    for (let turn = 0; turn < turnsAfterTimer; turn++) await new Promise(setImmediate)
  }
}

/** One host's clock: runs with the others, but has a time of day of its own. */
export class HostClock implements Clock {
  readonly #clock: LibraryClock
  #offsetMs = 0

  constructor(clock: LibraryClock) {
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
    return defaultEpoch + Math.floor(this.now()) + this.#offsetMs
  }

  setTimeout(fn: () => void, ms: number): Timer {
    return this.#clock.setTimeout(fn, ms)
  }

  clearTimeout(timer: Timer): void {
    this.#clock.clearTimeout(timer)
  }
}
