import type { Clock, Timer } from './base/clock.ts'
import { isBug, messageOf } from './base/errors.ts'
import type { Logger } from './base/logger.ts'
import type { Store } from './store/store.ts'

/** How often the time that members are away is added up, at the least, in milliseconds. */
const stepMostMs = 60_000
const table = 'forgetting'

export interface ForgettingParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly store: Store
  /** The members that have a say in who owns which addresses, and whether each is away. */
  readonly voters: () => readonly { readonly name: string; readonly away: boolean }[]
  /** Agrees with a majority of all voters, those away included, that these are gone. */
  readonly forget: (members: readonly string[]) => Promise<void>
  /** How long a member may be away, in milliseconds of our own running. */
  readonly afterMs: number
}

/**
 * Forgets members that stay away: after `afterMs` the others agree that one is gone, and its addresses
 * are free again. What counts is the time that this host ran and did not see the member; it is summed
 * up step by step and kept on disk, so a clock that jumps, a plugin that was off or a machine that stood
 * still brings nobody's end nearer. A minority cannot forget anybody: the agreement needs a majority of all, those away included.
 */
export class Forgetting {
  readonly #parts: ForgettingParts
  #timer: Timer | null = null
  #steppedAt = 0
  /** Those that were away and have been seen since the last step. */
  readonly #seen = new Set<string>()

  constructor(parts: ForgettingParts) {
    this.#parts = parts
  }

  start(): void {
    this.#steppedAt = this.#parts.clock.now()
    this.#schedule()
  }

  /** Members may have changed. Who is seen now, however briefly, begins anew: it has heard from us and trusts its addresses. */
  look(): void {
    const { store, voters } = this.#parts
    const away = new Set(
      voters()
        .filter((voter) => voter.away)
        .map(({ name }) => name),
    )
    for (const [name] of store.entries(table)) if (!away.has(name)) this.#seen.add(name)
  }

  stop(): void {
    if (this.#timer !== null) this.#parts.clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  get #stepMs(): number {
    return Math.min(stepMostMs, this.#parts.afterMs / 4)
  }

  #schedule(): void {
    this.#timer = this.#parts.clock.setTimeout(() => void this.#run(), this.#stepMs)
  }

  async #run(): Promise<void> {
    const { logger } = this.#parts
    try {
      await this.#step()
    } catch (error) {
      if (isBug(error)) throw error
      logger.warn(`forgetting members that stay away: ${messageOf(error)}; trying again`)
    }
    if (this.#timer !== null) this.#schedule()
  }

  async #step(): Promise<void> {
    const { clock, logger, store, voters, forget, afterMs } = this.#parts
    // What is much longer than a step was no running: nobody was looked for in that time.
    const passed = Math.min(clock.now() - this.#steppedAt, 2 * this.#stepMs)
    this.#steppedAt = clock.now()
    const away = new Map(
      voters()
        .filter((voter) => voter.away)
        .map(({ name }) => {
          const before = this.#seen.has(name) ? undefined : store.get<number>(table, name)
          return [name, before === undefined ? 0 : before + passed] as const
        }),
    )
    this.#seen.clear()
    const back = store.entries(table).filter(([name]) => !away.has(name))
    await store.write([
      ...[...away].map(([key, value]) => ({ table, key, value })),
      ...back.map(([key]) => ({ table, key, value: null })),
    ])
    const gone = [...away].filter(([, ms]) => ms >= afterMs).map(([name]) => name)
    if (gone.length === 0) return
    await forget(gone)
    logger.warn(`forgotten after ${Math.round(afterMs / 1000)} s away: ${gone.join(', ')}`)
  }
}
