import type { Clock } from '../../base/clock.ts'

/**
 * Sources share a bucket when their addresses hash alike; so the memory has a bound whatever comes.
 */
const buckets = 1024

/**
 * How much each source address may ask of us: a token bucket per source, refilled at `perSecond`.
 */
export class SourceBudgets {
  readonly #clock: Clock
  readonly #perSecond: number
  readonly #burst: number
  readonly #tokens: Float64Array
  readonly #filledAt: Float64Array

  constructor(clock: Clock, { perSecond, burst }: { perSecond: number; burst: number }) {
    this.#clock = clock
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = new Float64Array(buckets).fill(burst)
    this.#filledAt = new Float64Array(buckets).fill(clock.now())
  }

  /** Takes one token of that source; false when it has none left. */
  take(address: string): boolean {
    const bucket = hashOf(address) % buckets
    const now = this.#clock.now()
    const refill = ((now - this.#filledAt[bucket]!) / 1000) * this.#perSecond
    const tokens = Math.min(this.#burst, this.#tokens[bucket]! + refill)
    this.#filledAt[bucket] = now
    this.#tokens[bucket] = tokens < 1 ? tokens : tokens - 1
    return tokens >= 1
  }
}

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++)
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) >>> 0
  return hash
}
