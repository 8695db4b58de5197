import type { Clock as LibraryClock } from 'memberlist-js'
import type { Clock, Timer } from '../../../src/base/clock.ts'

/** The time of day at the start of every simulation. */
const epochMs = Date.UTC(2026, 0, 1)

/** What a host's clocks say; it outlives the host's processes. */
export interface HostTime {
  /** How fast the monotonic clock runs, 1 for right. */
  rate: number
  /** How wrong the time of day is, ms. */
  wallOffsetMs: number
}

/** A timer of a process: asleep while its process stands still. */
interface Sleeper {
  fn: (() => void) | null
  timer: Timer | null
}

/**
 * One life of a process: its clock, and the gate through which everything reaches it. After its end nothing of it runs
 * any more; while it is paused, what is due waits.
 */
export class Life implements Clock {
  /** Resolves when the process ends. */
  readonly ended: Promise<void>
  readonly #clock: LibraryClock & { settle(): void }
  readonly #time: HostTime
  readonly #onThrow: (error: unknown) => void
  readonly #deferred: (() => void)[] = []
  #end: () => void = () => {}
  #state: 'running' | 'paused' | 'ended' = 'running'
  #base: number
  #own: number

  constructor(
    clock: LibraryClock & { settle(): void },
    time: HostTime,
    onThrow: (error: unknown) => void,
  ) {
    this.#clock = clock
    this.#time = time
    this.#onThrow = onThrow
    this.#base = this.#own = clock.now()
    this.ended = new Promise((resolve) => (this.#end = resolve))
  }

  get isAlive(): boolean {
    return this.#state !== 'ended'
  }

  get isPaused(): boolean {
    return this.#state === 'paused'
  }

  now(): number {
    return this.#own + (this.#clock.now() - this.#base) * this.#time.rate
  }

  wall(): number {
    return epochMs + Math.floor(this.#clock.now()) + this.#time.wallOffsetMs
  }

  setTimeout(fn: () => void, ms: number): Timer {
    const sleeper: Sleeper = { fn, timer: null }
    sleeper.timer = this.#clock.setTimeout(() => {
      this.run(() => {
        const due = sleeper.fn
        sleeper.fn = null
        due?.()
      })
    }, ms / this.#time.rate)
    return sleeper
  }

  clearTimeout(timer: Timer): void {
    const sleeper = timer as Sleeper
    sleeper.fn = null
    if (sleeper.timer !== null) this.#clock.clearTimeout(sleeper.timer)
  }

  /** The clock's rate is about to change: what it says goes on from here. */
  keepTime(): void {
    this.#own = this.now()
    this.#base = this.#clock.now()
  }

  /** Runs something of this process: now, when it goes on, or never. */
  run(fn: () => void): void {
    if (this.#state === 'paused') this.#deferred.push(fn)
    if (this.#state !== 'running') return
    try {
      fn()
    } catch (error) {
      this.#onThrow(error)
    }
  }

  /** Settles what the process waits for, and lets it go on before the next timer. */
  resume(fn: () => void): void {
    this.run(() => {
      this.#clock.settle()
      fn()
    })
  }

  pause(): void {
    if (this.#state === 'running') this.#state = 'paused'
  }

  unpause(): void {
    if (this.#state !== 'paused') return
    this.#state = 'running'
    for (const fn of this.#deferred.splice(0)) this.run(fn)
  }

  end(): void {
    this.#state = 'ended'
    this.#deferred.length = 0
    this.#end()
  }
}
