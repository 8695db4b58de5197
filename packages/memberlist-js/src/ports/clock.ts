declare const timerBrand: unique symbol

/**
 * A pending call, as handed out by {@link Clock.setTimeout}. Opaque: only its own clock understands
 * it.
 */
export interface Timer {
  readonly [timerBrand]?: never
}

/** Where this package gets time from. A test passes a virtual one. */
export interface Clock {
  /** Milliseconds on a monotonic scale with an arbitrary zero; may be fractional. */
  now(): number
  /** Calls `fn` once, `ms` milliseconds from now. */
  setTimeout(fn: () => void, ms: number): Timer
  /** Cancels a pending call; harmless when it already ran. */
  clearTimeout(timer: Timer): void
}
