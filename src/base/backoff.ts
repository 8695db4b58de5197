/** Exponential backoff: the first wait, doubled after each failure up to the longest. */
export interface Backoff {
  readonly firstMs: number
  readonly maxMs: number
}

/** Milliseconds to wait after a failure that `failuresBefore` others preceded without a success. */
export function backoffMs({ firstMs, maxMs }: Backoff, failuresBefore: number): number {
  return Math.min(firstMs * 2 ** failuresBefore, maxMs)
}
