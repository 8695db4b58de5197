/** A pending timer, as returned by `Clock.setTimeout`. Opaque. */
export type Timer = object

/**
 * Time as a port. Rules and schedules read time only through it, so that a test can run a thousand
 * members in virtual time.
 */
export interface Clock {
  /** Milliseconds since an arbitrary origin; never goes back. For durations and schedules. */
  now(): number
  /** Milliseconds since the Unix epoch; may jump. For what people read and for epochs. */
  wall(): number
  /** Calls `fn` once, after `ms` milliseconds. */
  setTimeout(fn: () => void, ms: number): Timer
  /** Forgets a timer. A timer that already fired, or was forgotten before, is no error. */
  clearTimeout(timer: Timer): void
}

/** The machine's clock. Its timers do not keep the process alive: the sockets do that. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms).unref(),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout),
}

/** Calls `fn` after `ms` milliseconds, and keeps the process alive until then. */
export function stayAlive(fn: () => void, ms: number): void {
  setTimeout(fn, ms)
}

/** Resolves after `ms` milliseconds of `clock`. */
export function sleep(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.setTimeout(resolve, ms))
}
