import type { Clock, Timer } from '../base/clock.ts'
import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Store } from '../store/store.ts'

/** Members come and go in crowds; one write for a crowd is enough. */
const settleMs = 1000
/** So many are worth remembering: one that is still there is enough. */
const maxSeeds = 16

const place = { table: 'cluster', key: 'contacts' } as const

export interface SeedCacheParts {
  readonly clock: Clock
  readonly store: Store
  readonly logger: Logger
  /** Where the other members are to be found now, the most promising first. */
  readonly seeds: () => readonly string[]
}

/**
 * Remembers on disk where other members were last found. The first host of a cluster has no `JOIN`
 * that would lead it back, and the hosts that another one names may have gone.
 */
export class SeedCache {
  readonly #parts: SeedCacheParts
  #timer: Timer | null = null
  #saving: Promise<void> = Promise.resolve()

  constructor(parts: SeedCacheParts) {
    this.#parts = parts
  }

  /** Those that were there when this host last looked, in this life or an earlier one. */
  known(): readonly string[] {
    return this.#parts.store.get<readonly string[]>(place.table, place.key) ?? []
  }

  /** Members may have changed. */
  changed(): void {
    this.#timer ??= this.#parts.clock.setTimeout(() => {
      this.#timer = null
      this.#saving = this.#saving.then(() => this.#save())
    }, settleMs)
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) this.#parts.clock.clearTimeout(this.#timer)
    this.#timer = null
    await this.#saving
  }

  async #save(): Promise<void> {
    const { store, logger, seeds } = this.#parts
    const value = seeds().slice(0, maxSeeds).toSorted()
    if (value.join() === this.known().join()) return
    try {
      await store.write([{ ...place, value }])
    } catch (error) {
      logger.warn(`where other members are could not be written down: ${messageOf(error)}`)
    }
  }
}
