import type { Clock } from './clock.ts'
import { failure } from './errors.ts'

/**
 * Settles as `work` does, or fails after `ms` milliseconds with DEADLINE and `what` in the message.
 * The work itself is not stopped; it must be idempotent, as the engine's calls are.
 */
export function withDeadline<T>(
  clock: Clock,
  ms: number,
  what: string,
  work: Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimeout(
      () => reject(failure('DEADLINE', `${what} did not finish within ${ms} ms; try again`)),
      ms,
    )
    work.then(resolve, reject).finally(() => clock.clearTimeout(timer))
  })
}
