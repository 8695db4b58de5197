import {
  INBOUND_STREAMS_KEPT,
  MAX_INBOUND_STREAMS,
  MAX_INBOUND_STREAMS_PER_SOURCE,
} from '../limits.ts'

/**
 * How many streams are served at once: in all, from one address, and from addresses that no member
 * has. So connections that say nothing keep no member out.
 */
export class StreamSlots {
  readonly #isMember: (address: string) => boolean
  readonly #taken = new Map<string, number>()
  #total = 0

  constructor(isMember: (address: string) => boolean) {
    this.#isMember = isMember
  }

  /** Takes a slot, to be given back with `leave`; false when there is none for that address. */
  enter(address: string): boolean {
    const taken = this.#taken.get(address) ?? 0
    const limit = MAX_INBOUND_STREAMS - (this.#isMember(address) ? 0 : INBOUND_STREAMS_KEPT)
    if (taken >= MAX_INBOUND_STREAMS_PER_SOURCE || this.#total >= limit) return false
    this.#taken.set(address, taken + 1)
    this.#total++
    return true
  }

  leave(address: string): void {
    const taken = this.#taken.get(address)! - 1
    if (taken === 0) this.#taken.delete(address)
    else this.#taken.set(address, taken)
    this.#total--
  }
}
