/**
 * What this member publishes. A change gets its version when it is sent, so a record that is
 * written twice in between takes one version, and no member sees a hole. A token bucket limits the
 * versions per second; changes above it wait, and only the last value of a record is sent.
 */
import type { Packed } from '../../base/bytes.ts'
import type { Entry } from './origin-log.ts'
import type { Replica } from './replica.ts'

/** Versions per second in the long run, and at once. */
interface PublishLimits {
  readonly publishRate: number
  readonly publishBurst: number
}

export class OwnRecords {
  readonly #replica: Replica
  readonly #limits: PublishLimits
  readonly #staged = new Map<Packed, Packed | null>()
  #tokens: number
  #filledMs: number

  constructor(replica: Replica, limits: PublishLimits, now: number) {
    this.#replica = replica
    this.#limits = limits
    this.#tokens = limits.publishBurst
    this.#filledMs = now
  }

  /** Changes that have no version yet. */
  get waiting(): number {
    return this.#staged.size
  }

  /** Sets a record, or with null deletes it. Returns whether that changes anything. */
  set(id: Packed, value: Packed | null): boolean {
    if (this.value(id) === value) return false
    if (this.#replica.self.log.value(id) === value) this.#staged.delete(id)
    else this.#staged.set(id, value)
    return true
  }

  /** The value as last set; null when there is none. */
  value(id: Packed): Packed | null {
    const staged = this.#staged.get(id)
    return staged === undefined ? this.#replica.self.log.value(id) : staged
  }

  /** All records as last set. */
  *all(): Generator<readonly [Packed, Packed]> {
    for (const [id, value] of this.#replica.self.log.live()) {
      if (!this.#staged.has(id)) yield [id, value]
    }
    for (const [id, value] of this.#staged) if (value !== null) yield [id, value]
  }

  /** Gives versions to the changes that the token bucket allows (`bounded`), or to all. */
  publish(now: number, bounded: boolean): Entry[] {
    this.#fill(now)
    const entries: Entry[] = []
    for (const [id, value] of this.#staged) {
      if (bounded && this.#tokens < 1) break
      if (bounded) this.#tokens--
      this.#staged.delete(id)
      entries.push(this.#replica.write(id, value, now))
    }
    return entries
  }

  /** Milliseconds until one more change may go out. */
  delayMs(now: number): number {
    this.#fill(now)
    if (this.#tokens >= 1) return 0
    return Math.ceil(((1 - this.#tokens) * 1000) / this.#limits.publishRate)
  }

  #fill(now: number): void {
    const { publishRate, publishBurst } = this.#limits
    const earned = ((now - this.#filledMs) * publishRate) / 1000
    this.#tokens = Math.min(publishBurst, this.#tokens + earned)
    this.#filledMs = now
  }
}
