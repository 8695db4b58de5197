/**
 * Epochs that are over. A tombstone is kept for a day, so that a member that was away and still has
 * the records of that epoch does not bring them back.
 */
import type { Packed } from '../../base/bytes.ts'

export interface EpochTombstone {
  readonly epoch: number
  /** Its owner has left. False: its records were dropped because it was dead for too long. */
  readonly left: boolean
  /** When it may be dropped, in milliseconds of the clock. */
  readonly untilMs: number
  /** How far its log was here: when it comes back, older states of it are not shown. */
  readonly version: number
  /** Its owner's, when it has left; empty where that is not known or logs are not signed. */
  readonly signature: Packed
}

/** Above it the oldest are dropped: no cluster has that many restarts in a day. */
const maxEpochTombstones = 4096

/** The epoch tombstones of a replica, one for an origin. */
export class EpochTombstones {
  readonly #held = new Map<Packed, EpochTombstone>()

  get size(): number {
    return this.#held.size
  }

  get(oid: Packed): EpochTombstone | undefined {
    return this.#held.get(oid)
  }

  set(oid: Packed, tombstone: EpochTombstone): void {
    this.#held.delete(oid)
    this.#held.set(oid, tombstone)
  }

  delete(oid: Packed): void {
    this.#held.delete(oid)
  }

  expire(now: number): void {
    let tooMany = this.#held.size - maxEpochTombstones
    for (const [oid, { untilMs }] of this.#held) {
      if (tooMany-- > 0 || untilMs <= now) this.#held.delete(oid)
    }
  }
}

/**
 * Whether a live member with this epoch lifts the tombstone: a dead member may come back in the
 * same epoch, one that left comes back only in a new one.
 */
export function isLiftedBy(tombstone: EpochTombstone, epoch: number): boolean {
  return tombstone.left ? epoch > tombstone.epoch : epoch >= tombstone.epoch
}
