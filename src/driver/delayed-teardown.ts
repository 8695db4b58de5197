import type { Clock, Timer } from '../base/clock.ts'

/**
 * How long an overlay without endpoints keeps its namespace, in milliseconds. Removing bridge and VXLAN
 * device holds the kernel's one lock for links for some 40 ms; a container that restarts, or one that
 * follows another, need not wait for that twice.
 */
const teardownDelayMs = 1000

/** Overlays that have lost their last endpoint on this host, each with the time of its removal. */
export class DelayedTeardown {
  readonly #clock: Clock
  readonly #remove: (networkId: string) => void
  readonly #timers = new Map<string, Timer>()

  constructor(clock: Clock, remove: (networkId: string) => void) {
    this.#clock = clock
    this.#remove = remove
  }

  /** Has the network's overlay removed after a while, counted from now. */
  schedule(networkId: string): void {
    this.cancel(networkId)
    const timer = this.#clock.setTimeout(() => {
      this.#timers.delete(networkId)
      this.#remove(networkId)
    }, teardownDelayMs)
    this.#timers.set(networkId, timer)
  }

  /** The network goes: no removal later. */
  cancel(networkId: string): void {
    const timer = this.#timers.get(networkId)
    if (timer !== undefined) this.#clock.clearTimeout(timer)
    this.#timers.delete(networkId)
  }

  /** Ends all waiting. Returns the networks whose removal was due. */
  cancelAll(): string[] {
    const due = [...this.#timers.keys()]
    for (const networkId of due) this.cancel(networkId)
    return due
  }
}
