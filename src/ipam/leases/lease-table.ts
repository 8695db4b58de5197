import type { Clock } from '../../base/clock.ts'
import type { OffsetRange } from '../../net/pool-geometry.ts'

/** An address handed out on this host. `since` is wall clock, ms. */
export interface Lease {
  readonly since: number
  /** For a container, or set aside for something outside (`--aux-address`). */
  readonly kind: 'container' | 'reserved'
  /** The grant under which the owner of its block lent this one address; null when none did. */
  readonly loan: number | null
  readonly name?: string
}

/** A new lease of a container, or of something outside; `name` is the container's, if known. */
export function leaseOf(clock: Clock, kind: Lease['kind'], name: string | null): Lease {
  return { since: clock.wall(), kind, loan: null, ...(name === null ? {} : { name }) }
}

/**
 * A freed address is quarantined this long while there are others, ms: other hosts may still have
 * its neighbour entry, and people still have it in a terminal.
 */
export const quarantineMs = 30_000
/** `docker restart` asks for an address this soon after it released one, ms. */
const restartMs = 10_000
const maxNames = 1024

/**
 * The addresses handed out from one pool on this host. Pure: time is a parameter, nothing is
 * written.
 */
export class LeaseTable {
  readonly #leases = new Map<number, Lease>()
  /** Freed offsets in the order they were freed, with the time, ms. */
  readonly #freed = new Map<number, number>()
  /** By container the offset that it had last, where the engine tells names. */
  readonly #lastOf = new Map<string, number>()
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

  /** Marks an address as handed out. The search goes on behind the newest one. */
  take(offset: number, lease: Lease): void {
    this.#leases.set(offset, lease)
    this.#freed.delete(offset)
    if (lease.since < this.#newest) return
    this.#newest = lease.since
    this.#cursor = offset + 1
  }

  /** Marks an address as free again; one that is free is fine. */
  drop(offset: number, now: number): void {
    const lease = this.#leases.get(offset)
    if (lease === undefined) return
    this.#leases.delete(offset)
    if (lease.name !== undefined) this.#remember(lease.name, offset)
    this.#freed.delete(offset)
    this.#freed.set(offset, now)
  }

  /** How many freed addresses are in quarantine at `now`. */
  quarantined(now: number): number {
    for (const [offset, at] of this.#freed) {
      if (now - at < quarantineMs) break
      this.#freed.delete(offset)
    }
    return this.#freed.size
  }

  /**
   * The address of a container that is being restarted: by its name, or without one the only
   * address that was released a moment ago. Null when it is not to be had.
   */
  recall(
    name: string | null,
    ranges: readonly OffsetRange[],
    blocked: (offset: number) => boolean,
    now: number,
  ): number | null {
    const offset = name === null ? this.#onlyRecent(now) : this.#lastOf.get(name)
    if (offset === undefined || this.#leases.has(offset) || blocked(offset)) return null
    return isWithin(ranges, offset) ? offset : null
  }

  /**
   * The address to hand out next: the first behind the last one that was handed out, round and
   * round, so that an address comes back as late as possible. One in quarantine is only taken when
   * there is no other, the longest there first. Null when all are taken. `ranges` are ours, in
   * ascending order.
   */
  next(
    ranges: readonly OffsetRange[],
    blocked: (offset: number) => boolean,
    now: number,
  ): number | null {
    this.quarantined(now)
    const fits = (offset: number): boolean =>
      !this.#leases.has(offset) && !this.#freed.has(offset) && !blocked(offset)
    return (
      firstFit(ranges, this.#cursor, Infinity, fits) ??
      firstFit(ranges, 0, this.#cursor, fits) ??
      [...this.#freed.keys()].find((o) => isWithin(ranges, o) && !blocked(o)) ??
      null
    )
  }

  #onlyRecent(now: number): number | undefined {
    const recent = [...this.#freed].filter(([, at]) => now - at < restartMs)
    return recent.length === 1 ? recent[0]![0] : undefined
  }

  #remember(name: string, offset: number): void {
    this.#lastOf.delete(name)
    this.#lastOf.set(name, offset)
    const [oldest] = this.#lastOf.keys()
    if (this.#lastOf.size > maxNames) this.#lastOf.delete(oldest!)
  }
}

function isWithin(ranges: readonly OffsetRange[], offset: number): boolean {
  return ranges.some(({ first, last }) => first <= offset && offset <= last)
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
