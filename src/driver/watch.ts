import type { Clock, Timer } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { type Disagreement, disagreementId } from './disagreements.ts'

/** Changes within that time are looked at together: a member that joins brings thousands. */
const lookAfterMs = 1000
/** Lines that one look may log; `/status` has the others. */
const linesMost = 5
/** What `/status` lists. One wrong host contradicts all others, in each of its overlays. */
const listedMost = 100

export interface WatchParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly find: () => readonly Disagreement[]
}

/** For `/status`. */
export interface DisagreementStatus {
  readonly count: number
  /** The first hundred. */
  readonly list: readonly Disagreement[]
}

/** Says each disagreement once when it is found, and once when it is over. */
export class Watch {
  readonly #parts: WatchParts
  #known = new Map<string, Disagreement>()
  #timer: Timer | null = null
  #stopped = false

  constructor(parts: WatchParts) {
    this.#parts = parts
  }

  /** Something changed, here or there. */
  changed(): void {
    if (this.#stopped) return
    this.#timer ??= this.#parts.clock.setTimeout(() => {
      this.#timer = null
      this.#look()
    }, lookAfterMs)
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) this.#parts.clock.clearTimeout(this.#timer)
  }

  /** As it is now. */
  status(): DisagreementStatus {
    const all = this.#parts.find()
    return { count: all.length, list: all.slice(0, listedMost) }
  }

  #look(): void {
    const { logger, find } = this.#parts
    const before = this.#known
    this.#known = new Map(find().map((found) => [disagreementId(found), found]))
    const fresh = [...this.#known].filter(([id]) => !before.has(id))
    const over = [...before].filter(([id]) => !this.#known.has(id))
    for (const [, { message }] of fresh.slice(0, linesMost)) logger.warn(message)
    for (const [, { message }] of over.slice(0, linesMost)) logger.info(`over: ${message}`)
    const more = fresh.length - linesMost
    if (more > 0) logger.warn(`${more} more disagreements with other members; /status has them`)
  }
}
