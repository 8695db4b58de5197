import type { Clock, Timer } from '../base/clock.ts'
import { isBug, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Store } from '../store/store.ts'

/** How often the time that members are away is added up, at the least, in milliseconds. */
const stepMostMs = 60_000
const table = 'forgetting'

/**
 * For this part of `afterMs` one must have been away in this very run, while a majority was in
 * sight: it trusts its addresses for half of that time after it last heard a majority, and what we
 * counted earlier may be of another absence.
 */
const watchedPart = 3 / 4

interface Remembered {
  readonly name: string
  /** Has a vote. */
  readonly seated: boolean
  readonly away: boolean
}

interface ForgettingParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly store: Store
  /**
   * Those whose addresses are their own until they are forgotten, which of them have a vote, and
   * whether each is away.
   */
  readonly members: () => readonly Remembered[]
  /** Agrees with a majority of all voters, those away included, that these are gone. */
  readonly forget: (members: readonly string[]) => Promise<void>
  /** How long a member may be away, in milliseconds of our own running. */
  readonly afterMs: number
}

/**
 * Forgets members that stay away: after `afterMs` the others agree that one is gone, and its
 * addresses are free again. What counts is the time that this host ran and did not see the member;
 * it is summed up step by step and kept on disk, so a clock that jumps, a plugin that was off or a
 * machine that stood still brings nobody's end nearer; nor does time without a majority in sight,
 * when it is rather we who are away. A minority cannot forget anybody: the agreement needs a
 * majority of all, those away included.
 */
export class Forgetting {
  readonly #parts: ForgettingParts
  #timer: Timer | null = null
  #steppedAt = 0
  /** Those that were away and have been seen since the last step. */
  readonly #seen = new Set<string>()
  /**
   * For how long members have been away in this run, without a break, while we saw a majority, ms.
   */
  readonly #watched = new Map<string, number>()

  constructor(parts: ForgettingParts) {
    this.#parts = parts
  }

  start(): void {
    this.#steppedAt = this.#parts.clock.now()
    this.#schedule()
  }

  /**
   * Members may have changed. Who is seen now, however briefly, begins anew: it has heard from us
   * and trusts its addresses.
   */
  look(): void {
    const members = this.#parts.members()
    const away = new Set(members.filter((member) => member.away).map(({ name }) => name))
    for (const [name] of this.#parts.store.entries(table)) if (!away.has(name)) this.#seen.add(name)
    if (!seesMajority(members)) this.#watched.clear()
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
    const { clock, logger, store, forget, afterMs } = this.#parts
    const members = this.#parts.members()
    const isCounted = seesMajority(members)
    if (!isCounted) this.#watched.clear()
    // What is much longer than a step was no running: nobody was looked for in that time.
    const passed = isCounted ? Math.min(clock.now() - this.#steppedAt, 2 * this.#stepMs) : 0
    this.#steppedAt = clock.now()
    const away = new Map<string, number>()
    for (const { name } of members.filter((member) => member.away)) {
      const isNew = this.#seen.has(name)
      const before = isNew ? undefined : store.get<number>(table, name)
      away.set(name, before === undefined ? 0 : before + passed)
      const watched = isNew ? undefined : this.#watched.get(name)
      if (isCounted) this.#watched.set(name, watched === undefined ? 0 : watched + passed)
    }
    this.#seen.clear()
    for (const name of this.#watched.keys()) if (!away.has(name)) this.#watched.delete(name)
    const back = store.entries(table).filter(([name]) => !away.has(name))
    await store.write([
      ...[...away].map(([key, value]) => ({ table, key, value })),
      ...back.map(([key]) => ({ table, key, value: null })),
    ])
    const isDue = (name: string): boolean =>
      away.get(name)! >= afterMs && (this.#watched.get(name) ?? 0) >= watchedPart * afterMs
    const gone = [...away.keys()].filter(isDue)
    if (gone.length === 0) return
    await forget(gone)
    logger.warn(`forgotten after ${Math.round(afterMs / 1000)} s away: ${gone.join(', ')}`)
  }
}

function seesMajority(members: readonly Remembered[]): boolean {
  const voters = members.filter(({ seated }) => seated)
  return 2 * voters.filter(({ away }) => !away).length > voters.length
}
