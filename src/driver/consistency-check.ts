import type { Timer } from '../base/clock.ts'
import type { NetworkStore } from './network-store.ts'
import {
  type Inconsistency,
  inconsistencyId,
  duplicateClaims,
  overlayInconsistencies,
} from './consistency.ts'
import type { KnownOverlay } from './overlay-parameters.ts'
import type { DriverParts } from './ports.ts'

/** Changes within that time are looked at together: a member that joins brings thousands. */
const checkDelayMs = 1000
/** Lines that one look may log; `/status` has the others. */
const maxLines = 5
/** What `/status` lists. One wrong host contradicts all others, in each of its overlays. */
const maxListed = 100

/** What a live member now tells of an overlay; null when nothing any more, or when it is gone itself. */
export interface OverlayChange {
  readonly member: string
  readonly overlayId: string
  readonly now: KnownOverlay | null
}

/** For `/status`. */
export interface InconsistencyStatus {
  readonly count: number
  /** The first hundred. */
  readonly list: readonly Inconsistency[]
}

/** Says each disagreement once when it is found, and once when it is over. */
export class ConsistencyCheck {
  readonly #parts: DriverParts
  readonly #books: NetworkStore
  /** What live members have told of overlays, by member and overlay. */
  readonly #elsewhere = new Map<string, KnownOverlay>()
  #known = new Map<string, Inconsistency>()
  #timer: Timer | null = null
  #stopped = false

  constructor(parts: DriverParts, books: NetworkStore) {
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
    }, checkDelayMs)
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) this.#parts.clock.clearTimeout(this.#timer)
  }

  /** As it is now. */
  status(): InconsistencyStatus {
    const all = this.#find()
    return { count: all.length, list: all.slice(0, maxListed) }
  }

  #look(): void {
    const { logger } = this.#parts
    const before = this.#known
    this.#known = new Map(this.#find().map((found) => [inconsistencyId(found), found]))
    const fresh = [...this.#known].filter(([id]) => !before.has(id))
    const over = [...before].filter(([id]) => !this.#known.has(id))
    for (const [, { message }] of fresh.slice(0, maxLines)) logger.warn(message)
    for (const [, { message }] of over.slice(0, maxLines)) logger.info(`over: ${message}`)
    const more = fresh.length - maxLines
    if (more > 0) logger.warn(`${more} more disagreements with other members; /status has them`)
  }

  #find(): Inconsistency[] {
    const networks = this.#books.networks()
    const { dataplane, vxlanPort } = this.#parts
    const doubled = networks.flatMap((network) => {
      const joined = this.#books
        .endpointsOf(network.networkId)
        .filter((endpoint) => endpoint.joined)
      return duplicateClaims(network, joined, dataplane)
    })
    return [...overlayInconsistencies(networks, this.#elsewhere.values(), vxlanPort), ...doubled]
  }
}
