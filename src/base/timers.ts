/**
 * Timers that a room keeps: one-shot, repeated, coalesced and retried work over the Clock port.
 * `stop` cancels what is pending and returns at once; work under way goes on, and `idle` resolves
 * when it has settled. A failure of the work is reported and tried again; a bug is rethrown
 * uncaught, which ends the process.
 */
import type { Clock, Timer } from './clock.ts'
import { attempt } from './errors.ts'

/** Exponential backoff: the first wait, doubled after each failure up to the longest. */
export interface Backoff {
  readonly firstMs: number
  readonly maxMs: number
}

/** Milliseconds to wait after a failure that `failuresBefore` others preceded without a success. */
export function backoffMs({ firstMs, maxMs }: Backoff, failuresBefore: number): number {
  return Math.min(firstMs * 2 ** failuresBefore, maxMs)
}

/** Work of a timer. Work that returns no promise is done when it returns. */
type Work = () => void | Promise<void>

/** Calls `report` with the message of a failure, or with null after a success. */
type Report = (failure: string | null) => void

/** One pending call at most. */
export class Timeout {
  readonly #clock: Clock
  readonly #fire: () => void
  #timer: Timer | null = null

  constructor(clock: Clock, fire: () => void) {
    this.#clock = clock
    this.#fire = fire
  }

  get isPending(): boolean {
    return this.#timer !== null
  }

  /** Calls once, `ms` milliseconds from now, instead of what was pending. */
  set(ms: number): void {
    this.stop()
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = null
      this.#fire()
    }, ms)
  }

  /** The same, unless a call is pending. */
  setIfIdle(ms: number): void {
    if (this.#timer === null) this.set(ms)
  }

  stop(): void {
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer)
    this.#timer = null
  }
}

/** Runs work and reports how each run ended. */
class Runner {
  readonly #work: Work
  #underWay: Promise<void> | null = null

  constructor(work: Work) {
    this.#work = work
  }

  get isRunning(): boolean {
    return this.#underWay !== null
  }

  /** Reports in the same turn when the work returns no promise. */
  run(report: Report): void {
    const end = (failure: string | null): void => {
      this.#underWay = null
      report(failure)
    }
    const work = attempt(this.#work, (message) => message)
    if (!(work instanceof Promise)) return end(work ?? null)
    this.#underWay = work.then((failure) => end(failure ?? null))
  }

  /** Resolves when the run under way has been reported. Rejects when it ended by a bug. */
  async idle(): Promise<void> {
    await this.#underWay
  }
}

interface EveryParts {
  readonly clock: Clock
  /** Milliseconds from the end of a run to the next, asked for each time. */
  readonly intervalMs: number | (() => number)
  readonly run: Work
  /** Told of the first of several equal failures in a row. Without it only bugs are expected. */
  readonly warn?: (failure: string) => void
}

/**
 * Runs work again and again; runs do not overlap. A failure is reported, and the next run comes as
 * planned.
 */
export class Every {
  readonly #parts: EveryParts
  readonly #runner: Runner
  readonly #timeout: Timeout
  #started = false
  #lastFailure: string | null = null

  constructor(parts: EveryParts) {
    this.#parts = parts
    this.#runner = new Runner(parts.run)
    this.#timeout = new Timeout(parts.clock, () => this.#fire())
  }

  get isStarted(): boolean {
    return this.#started
  }

  /** The first run comes after `firstMs`, which is an interval unless given. */
  start(firstMs = this.#intervalMs): void {
    this.#started = true
    this.#timeout.set(firstMs)
  }

  stop(): void {
    this.#started = false
    this.#timeout.stop()
  }

  idle(): Promise<void> {
    return this.#runner.idle()
  }

  get #intervalMs(): number {
    const { intervalMs } = this.#parts
    return typeof intervalMs === 'number' ? intervalMs : intervalMs()
  }

  #fire(): void {
    if (this.#runner.isRunning) return
    this.#runner.run((failure) => {
      if (failure !== null && failure !== this.#lastFailure) this.#parts.warn?.(failure)
      this.#lastFailure = failure
      if (this.#started) this.#timeout.setIfIdle(this.#intervalMs)
    })
  }
}

interface DebounceParts {
  readonly clock: Clock
  /** Milliseconds from the first trigger to the run. */
  readonly delayMs: number
  readonly run: Work
  readonly warn?: (failure: string) => void
}

/** Runs work once for all triggers within `delayMs` of the first. Runs do not overlap. */
export class Debounce {
  readonly #parts: DebounceParts
  readonly #runner: Runner
  readonly #timeout: Timeout
  #isTriggered = false

  constructor(parts: DebounceParts) {
    this.#parts = parts
    this.#runner = new Runner(parts.run)
    this.#timeout = new Timeout(parts.clock, () => this.flush())
  }

  trigger(): void {
    this.#isTriggered = true
    if (!this.#runner.isRunning) this.#timeout.setIfIdle(this.#parts.delayMs)
  }

  /** Runs now, without the delay, unless a run is under way: then again after that. */
  flush(): void {
    this.#timeout.stop()
    if (this.#runner.isRunning) {
      this.#isTriggered = true
      return
    }
    this.#isTriggered = false
    this.#runner.run((failure) => {
      if (failure !== null) this.#parts.warn?.(failure)
      if (this.#isTriggered) this.#timeout.setIfIdle(this.#parts.delayMs)
    })
  }

  stop(): void {
    this.#isTriggered = false
    this.#timeout.stop()
  }

  idle(): Promise<void> {
    return this.#runner.idle()
  }
}

interface RetryParts {
  readonly clock: Clock
  readonly backoff: Backoff
  readonly run: Work
  /** Told of the first of several equal failures in a row. */
  readonly warn?: (failure: string) => void
}

/** Runs work until it succeeds, with growing waits between failures. */
export class Retry {
  readonly #parts: RetryParts
  readonly #runner: Runner
  readonly #timeout: Timeout
  #failures = 0
  #lastFailure: string | null = null
  #isStopped = false

  constructor(parts: RetryParts) {
    this.#parts = parts
    this.#runner = new Runner(parts.run)
    this.#timeout = new Timeout(parts.clock, () => this.start())
  }

  /** Why the last run failed; null when it succeeded, or there was none. */
  get lastFailure(): string | null {
    return this.#lastFailure
  }

  /** Runs now; nothing happens while a run is under way. */
  start(): void {
    this.#isStopped = false
    this.#timeout.stop()
    if (!this.#runner.isRunning) this.#runner.run((failure) => this.note(failure))
  }

  /** The work was done elsewhere, and failed with this message; null when it succeeded. */
  note(failure: string | null): void {
    if (failure !== null && failure !== this.#lastFailure) this.#parts.warn?.(failure)
    this.#lastFailure = failure
    if (failure === null) this.#reset()
    else this.schedule()
  }

  /** Runs after the wait that the failures so far call for. */
  schedule(): void {
    if (!this.#isStopped) this.#timeout.set(backoffMs(this.#parts.backoff, this.#failures++))
  }

  /** Cancels the next run until `start`. The count of failures stays. */
  stop(): void {
    this.#isStopped = true
    this.#timeout.stop()
  }

  idle(): Promise<void> {
    return this.#runner.idle()
  }

  #reset(): void {
    this.#failures = 0
    this.#timeout.stop()
  }
}
