import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { Debounce } from '../base/timers.ts'
import type { Store } from '../store/store.ts'

/** Members come and go in groups; one write for a group is enough, ms. */
const settleMs = 1000
/** One that is still there is enough. */
const maxSeeds = 16

const place = { table: 'cluster', key: 'contacts' } as const

interface SeedCacheParts {
  readonly clock: Clock
  readonly store: Store
  readonly logger: Logger
  /** The addresses of the other members, live ones first. */
  readonly seeds: () => readonly string[]
}

/**
 * Saves the addresses of other members, to join them after a restart. The first host of a cluster
 * has no `JOIN` that would lead it back, and the hosts in another one's `JOIN` may have gone.
 */
export class SeedCache {
  readonly #parts: SeedCacheParts
  readonly #saving: Debounce

  constructor(parts: SeedCacheParts) {
    this.#parts = parts
    this.#saving = new Debounce({
      clock: parts.clock,
      delayMs: settleMs,
      run: () => this.#save(),
      warn: (failure) =>
        parts.logger.warn(`the addresses of other members could not be saved: ${failure}`),
    })
  }

  /** The addresses that were saved last, before this start or since. */
  known(): readonly string[] {
    return this.#parts.store.get<readonly string[]>(place.table, place.key) ?? []
  }

  /** Members may have changed. */
  changed(): void {
    this.#saving.trigger()
  }

  async stop(): Promise<void> {
    this.#saving.stop()
    await this.#saving.idle()
  }

  async #save(): Promise<void> {
    const value = this.#parts.seeds().slice(0, maxSeeds).toSorted()
    if (value.join() !== this.known().join()) await this.#parts.store.write([{ ...place, value }])
  }
}
