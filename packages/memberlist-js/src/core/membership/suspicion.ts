import type { Clock, Timer } from '../../ports/clock.ts'
import { remainingSuspicion } from '../../rules/formulas.ts'

/** How long a suspicion may last. */
export interface SuspicionTerms {
  /** Confirmations after which the least time applies. */
  readonly expected: number
  readonly minMs: number
  readonly maxMs: number
}

/**
 * A suspicion waiting to be refuted. The more members share it, the sooner it ends: one member
 * alone may be the one with the bad link. It ends in `onExpired`, unless cancelled.
 */
export class Suspicion {
  readonly #clock: Clock
  readonly #terms: SuspicionTerms
  readonly #start: number
  readonly #onExpired: () => void
  /** The accusers: the first one does not count as a confirmation. */
  readonly #accusers: Set<string>
  #timer: Timer

  constructor(clock: Clock, accuser: string, terms: SuspicionTerms, onExpired: () => void) {
    this.#clock = clock
    this.#terms = terms
    this.#start = clock.now()
    this.#onExpired = onExpired
    this.#accusers = new Set([accuser])
    this.#timer = this.#arm()
  }

  /** Counts an accuser; true when it is a new one that brings the end nearer. */
  confirm(accuser: string): boolean {
    if (!this.welcomes(accuser)) return false
    this.#accusers.add(accuser)
    this.cancel()
    this.#timer = this.#arm()
    return true
  }

  /** Whether this accuser would bring the end nearer. */
  welcomes(accuser: string): boolean {
    return this.#accusers.size <= this.#terms.expected && !this.#accusers.has(accuser)
  }

  cancel(): void {
    this.#clock.clearTimeout(this.#timer)
  }

  #arm(): Timer {
    const { expected, minMs, maxMs } = this.#terms
    const elapsed = this.#clock.now() - this.#start
    const left = remainingSuspicion(this.#accusers.size - 1, expected, elapsed, minMs, maxMs)
    return this.#expireIn(Math.max(0, left))
  }

  /**
   * A timer that comes late by more than the least time shows that this process stood still.
   * Refutations may be waiting in the socket, so it waits that long again. Go kills at once.
   */
  #expireIn(ms: number): Timer {
    const due = this.#clock.now() + ms
    return this.#clock.setTimeout(() => {
      const late = this.#clock.now() - due > this.#terms.minMs
      if (late) this.#timer = this.#expireIn(this.#terms.minMs)
      else this.#onExpired()
    }, ms)
  }
}
