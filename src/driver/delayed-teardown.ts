import type { Clock } from '../base/clock.ts'
import { Timeout } from '../base/timers.ts'

/**
 * How long an overlay without endpoints keeps its namespace, in milliseconds. Removing bridge and
 * VXLAN device holds RTNL for some 40 ms; a container that restarts, or one that follows another,
 * should not wait for that twice.
 */
const teardownDelayMs = 1000

/** The removal of overlays that have lost their last endpoint on this host, each after a delay. */
export class DelayedTeardown {
  readonly #clock: Clock
  readonly #remove: (networkId: string) => void
  readonly #timeouts = new Map<string, Timeout>()

  constructor(clock: Clock, remove: (networkId: string) => void) {
    this.#clock = clock
    this.#remove = remove
  }

  /** Removes the network's overlay after the delay, counted from now. */
  schedule(networkId: string): void {
    this.cancel(networkId)
    const timeout = new Timeout(this.#clock, () => {
      this.#timeouts.delete(networkId)
      this.#remove(networkId)
    })
    this.#timeouts.set(networkId, timeout)
    timeout.set(teardownDelayMs)
  }

  cancel(networkId: string): void {
    this.#timeouts.get(networkId)?.stop()
    this.#timeouts.delete(networkId)
  }

  /** @returns the networks whose removal was pending. */
  cancelAll(): string[] {
    const pending = [...this.#timeouts.keys()]
    for (const networkId of pending) this.cancel(networkId)
    return pending
  }
}
