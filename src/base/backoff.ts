/** How soon what failed is tried again: after a while, then after twice as long, and so on up to the most. */
export interface Backoff {
  readonly firstMs: number
  readonly mostMs: number
}

/** Milliseconds to wait after a failure that so many others went before without a success. */
export function backoffMs({ firstMs, mostMs }: Backoff, failuresBefore: number): number {
  return Math.min(firstMs * 2 ** failuresBefore, mostMs)
}
