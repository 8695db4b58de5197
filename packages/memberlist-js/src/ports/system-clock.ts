import type { Clock, Timer } from './clock.ts'
import { LONGEST_TIMER_MS } from '../limits.ts'

/**
 * The machine's monotonic clock and Node's timers; what is set for more than 24 days goes off after
 * 24 days.
 */
export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout: (fn, ms) => setTimeout(fn, Math.min(ms, LONGEST_TIMER_MS)) as unknown as Timer,
  clearTimeout: (timer) => clearTimeout(timer as unknown as NodeJS.Timeout),
}
