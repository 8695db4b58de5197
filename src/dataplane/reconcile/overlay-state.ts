import { backoffMs } from '../../base/backoff.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import { isBug, messageOf } from '../../base/errors.ts'
import { kernelRetry } from './kernel-retry.ts'
import type { OverlayRows } from './overlay-rows.ts'

interface AttachedParts {
  readonly clock: Clock
  readonly warn: (message: string) => void
  /** Does again what failed, in the overlay's queue. */
  readonly retry: () => void
}

/** An overlay that this host is attached to: its rows, and when what failed is tried again. */
export class OverlayState {
  readonly rows: OverlayRows
  /** Endpoints of this host whose veth pair is gone, as the last audit found. */
  missing: readonly string[] = []
  /** Why the last work failed; null when it did not. */
  lastError: string | null = null
  readonly #parts: AttachedParts
  /** Since the last success. */
  #failures = 0
  #retry: Timer | null = null

  constructor(rows: OverlayRows, parts: AttachedParts) {
    this.rows = rows
    this.#parts = parts
  }

  /**
   * Runs work; when it fails, in part by what `failureOf` says of its result or as a whole, says why and has
   * it tried again; as a whole, returns null. A bug is thrown on.
   */
  async attempt<T>(
    work: () => Promise<T>,
    failureOf: (result: T) => string | null,
  ): Promise<T | null> {
    this.cancelRetry()
    try {
      const result = await work()
      this.#note(failureOf(result))
      return result
    } catch (error) {
      if (isBug(error)) throw error
      this.#note(messageOf(error))
      return null
    }
  }

  #note(failure: string | null): void {
    if (failure === null) this.#failures = 0
    else {
      if (this.lastError !== failure) this.#parts.warn(failure)
      this.scheduleRetry()
    }
    this.lastError = failure
  }

  scheduleRetry(): void {
    this.cancelRetry()
    const waitMs = backoffMs(kernelRetry, this.#failures++)
    this.#retry = this.#parts.clock.setTimeout(this.#parts.retry, waitMs)
  }

  cancelRetry(): void {
    if (this.#retry !== null) this.#parts.clock.clearTimeout(this.#retry)
    this.#retry = null
  }
}
