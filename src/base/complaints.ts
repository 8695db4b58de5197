import type { Clock } from './clock.ts'
import type { Logger } from './logger.ts'

/** A pair of who and what that goes on is logged again after this, in milliseconds. */
const repeatMs = 3_600_000
/** Pairs kept apart. More than one of a thousand hosts at fault is an attack, or one fault of all. */
const pairsMost = 200

interface Complaint {
  readonly who: string
  readonly what: string
  count: number
  last: { readonly at: string; readonly text: string }
  loggedMs: number
}

/** For `/status`. */
export interface ComplaintStatus {
  /** Since the start. */
  readonly total: number
  /** The latest of each pair, in the order in which pairs first came. */
  readonly list: readonly {
    readonly who: string
    readonly what: string
    readonly count: number
    readonly last: { readonly at: string; readonly text: string }
  }[]
}

/**
 * Counts what others do wrong, by who and what: a pair is logged the first time, and once an hour while it
 * goes on, however often it happens. Beyond the most that are kept, pairs are only counted.
 */
export class Complaints {
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #pairs = new Map<string, Complaint>()
  #total = 0

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock
    this.#logger = logger
  }

  /** `text` tells this case: what exactly came, and what was done about it. */
  note(who: string, what: string, text: string): void {
    this.#total++
    const key = JSON.stringify([who, what])
    const known = this.#pairs.get(key)
    if (known === undefined && this.#pairs.size >= pairsMost) return
    const last = { at: new Date(this.#clock.wall()).toISOString(), text }
    const complaint = known ?? { who, what, count: 0, last, loggedMs: Number.NEGATIVE_INFINITY }
    this.#pairs.set(key, complaint)
    complaint.count++
    complaint.last = last
    const now = this.#clock.now()
    if (now - complaint.loggedMs < repeatMs) return
    complaint.loggedMs = now
    const again = complaint.count > 1 ? ` (${complaint.count} of this kind so far)` : ''
    this.#logger.warn(`${text}${again}`)
  }

  status(): ComplaintStatus {
    const list = Array.from(this.#pairs.values(), ({ who, what, count, last }) => {
      return { who, what, count, last }
    })
    return { total: this.#total, list }
  }
}
