import type { Timer } from '../base/clock.ts'
import type { Books } from './books.ts'
import {
  type Disagreement,
  disagreementId,
  duplicates,
  overlayDisagreements,
} from './disagreements.ts'
import type { KnownOverlay } from './overlay-agreement.ts'
import type { DriverParts } from './ports.ts'

/** Changes within that time are looked at together: a member that joins brings thousands. */
const lookAfterMs = 1000
/** Lines that one look may log; `/status` has the others. */
const linesMost = 5
/** What `/status` lists. One wrong host contradicts all others, in each of its overlays. */
const listedMost = 100

/** What a live member now tells of an overlay; null when nothing any more, or when it is gone itself. */
export interface OverlayChange {
  readonly member: string
  readonly overlayId: string
  readonly now: KnownOverlay | null
}

/** For `/status`. */
export interface DisagreementStatus {
  readonly count: number
  /** The first hundred. */
  readonly list: readonly Disagreement[]
}

/** Says each disagreement once when it is found, and once when it is over. */
export class Watch {
  readonly #parts: DriverParts
  readonly #books: Books
  /** What live members have told of overlays, by member and overlay. */
  readonly #elsewhere = new Map<string, KnownOverlay>()
  #known = new Map<string, Disagreement>()
  #timer: Timer | null = null
  #stopped = false

  constructor(parts: DriverParts, books: Books) {
    this.#parts = parts
    this.#books = books
  }

  /** Something changed, here or there; of the others' overlays, these. */
  changed(overlays: readonly OverlayChange[] = []): void {
    for (const { member, overlayId, now } of overlays) {
      const key = JSON.stringify([member, overlayId])
      if (now === null) this.#elsewhere.delete(key)
      else this.#elsewhere.set(key, now)
    }
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
    const all = this.#find()
    return { count: all.length, list: all.slice(0, listedMost) }
  }

  #look(): void {
    const { logger } = this.#parts
    const before = this.#known
    this.#known = new Map(this.#find().map((found) => [disagreementId(found), found]))
    const fresh = [...this.#known].filter(([id]) => !before.has(id))
    const over = [...before].filter(([id]) => !this.#known.has(id))
    for (const [, { message }] of fresh.slice(0, linesMost)) logger.warn(message)
    for (const [, { message }] of over.slice(0, linesMost)) logger.info(`over: ${message}`)
    const more = fresh.length - linesMost
    if (more > 0) logger.warn(`${more} more disagreements with other members; /status has them`)
  }

  #find(): Disagreement[] {
    const networks = this.#books.networks()
    const { wires, vxlanPort } = this.#parts
    const doubled = networks.flatMap((network) => {
      const joined = this.#books
        .endpointsOf(network.networkId)
        .filter((endpoint) => endpoint.joined)
      return duplicates(network, joined, wires)
    })
    return [...overlayDisagreements(networks, this.#elsewhere.values(), vxlanPort), ...doubled]
  }
}
