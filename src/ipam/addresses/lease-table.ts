import type { OffsetRange } from '../../net/pool-geometry.ts'

/** An address handed out on this host. `since` is wall clock, ms. */
export interface Lease {
  readonly since: number
  /** For a container, or set aside for something outside (`--aux-address`). */
  readonly kind: 'container' | 'reserved'
  /** Lent by the owner of its block, for this one address. */
  readonly loan: boolean
}

/**
 * A freed address rests this long while there are others, ms: other hosts may still have its neighbour entry, and
 * people still have it in a terminal.
 */
export const quarantineMs = 30_000

/** The addresses handed out from one pool on this host. Pure: time is a parameter, nothing is written. */
export class LeaseTable {
  readonly #leases = new Map<number, Lease>()
  /** Freed offsets in the order they were freed, with the time, ms. */
  readonly #freed = new Map<number, number>()
  #cursor = 0
  #newest = -1

  get size(): number {
    return this.#leases.size
  }

  get(offset: number): Lease | undefined {
    return this.#leases.get(offset)
  }

  entries(): Iterable<[number, Lease]> {
    return this.#leases
  }

  /** Marks an address as handed out. The search for the next goes on behind the newest one, also after a restart. */
  take(offset: number, lease: Lease): void {
    this.#leases.set(offset, lease)
    this.#freed.delete(offset)
    if (lease.since < this.#newest) return
    this.#newest = lease.since
    this.#cursor = offset + 1
  }

  /** Marks an address as free again. False when it was free. */
  drop(offset: number, now: number): boolean {
    if (!this.#leases.delete(offset)) return false
    this.#freed.delete(offset)
    this.#freed.set(offset, now)
    return true
  }

  /** How many freed addresses still rest at `now`. */
  resting(now: number): number {
    for (const [offset, at] of this.#freed) {
      if (now - at < quarantineMs) break
      this.#freed.delete(offset)
    }
    return this.#freed.size
  }

  /**
   * The address to hand out next: the first behind the last one that was handed out, round and round, so that an address comes
   * back as late as possible. One that rests is only taken when there is no other, the longest resting first.
   * Null when all are taken. `ranges` are ours, in ascending order.
   */
  next(
    ranges: readonly OffsetRange[],
    blocked: (offset: number) => boolean,
    now: number,
  ): number | null {
    this.resting(now)
    const fits = (offset: number): boolean =>
      !this.#leases.has(offset) && !this.#freed.has(offset) && !blocked(offset)
    return (
      firstFit(ranges, this.#cursor, Infinity, fits) ??
      firstFit(ranges, 0, this.#cursor, fits) ??
      this.#longestResting(ranges, blocked)
    )
  }

  #longestResting(
    ranges: readonly OffsetRange[],
    blocked: (offset: number) => boolean,
  ): number | null {
    for (const offset of this.#freed.keys()) {
      const ours = ranges.some(({ first, last }) => first <= offset && offset <= last)
      if (ours && !blocked(offset)) return offset
    }
    return null
  }
}

/** The first offset of the ranges in [from, before) that fits. */
function firstFit(
  ranges: readonly OffsetRange[],
  from: number,
  before: number,
  fits: (offset: number) => boolean,
): number | null {
  for (const { first, last } of ranges) {
    const end = Math.min(last, before - 1)
    for (let offset = Math.max(first, from); offset <= end; offset++) {
      if (fits(offset)) return offset
    }
  }
  return null
}
