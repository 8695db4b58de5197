import type { Packed } from './bytes.ts'
import type { Certificate } from './visibility.ts'

/** Beyond are dropped, oldest first: so many restarts or departures in a day are no normal day. */
const certificatesMost = 4096

/** Which epochs are over, by origin. */
export class Certificates {
  readonly #held = new Map<Packed, Certificate>()

  get size(): number {
    return this.#held.size
  }

  get(oid: Packed): Certificate | undefined {
    return this.#held.get(oid)
  }

  set(oid: Packed, certificate: Certificate): void {
    this.#held.delete(oid)
    this.#held.set(oid, certificate)
  }

  /** The epoch counts again. */
  lift(oid: Packed): void {
    this.#held.delete(oid)
  }

  expire(now: number): void {
    let tooMany = this.#held.size - certificatesMost
    for (const [oid, { untilMs }] of this.#held) {
      if (tooMany-- > 0 || untilMs <= now) this.#held.delete(oid)
    }
  }
}
