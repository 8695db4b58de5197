import type { Packed } from '../../base/bytes.ts'
import type { EpochTombstone } from '../visibility.ts'

/** Beyond are dropped, oldest first: so many restarts or departures in a day are no normal day. */
const maxEpochTombstones = 4096

/** Which epochs are over, by origin. */
export class EpochTombstones {
  readonly #held = new Map<Packed, EpochTombstone>()

  get size(): number {
    return this.#held.size
  }

  get(oid: Packed): EpochTombstone | undefined {
    return this.#held.get(oid)
  }

  set(oid: Packed, certificate: EpochTombstone): void {
    this.#held.delete(oid)
    this.#held.set(oid, certificate)
  }

  /** The epoch counts again. */
  lift(oid: Packed): void {
    this.#held.delete(oid)
  }

  expire(now: number): void {
    let tooMany = this.#held.size - maxEpochTombstones
    for (const [oid, { untilMs }] of this.#held) {
      if (tooMany-- > 0 || untilMs <= now) this.#held.delete(oid)
    }
  }
}
