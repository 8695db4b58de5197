import { stayAlive, systemClock } from '../../base/clock.ts'
import { codeOf, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { printable } from '../../base/printable.ts'

/** The engine kills the plugin ten seconds after asking it to stop. */
const maxStopMs = 4_500
/** Longer than the engine waits for a plugin that it enables. */
const maxFailedMs = 25_000

/**
 * A bug: what is in memory cannot be trusted any more. The engine starts us again from the disk.
 */
export function endOnBug(error: unknown): void {
  explain(error instanceof Error ? (error.stack ?? error.message) : String(error), 'bug: ')
  process.exit(1)
}

/**
 * The start failed. The process stays until the engine ends it, which takes some ten seconds: one
 * that ends by itself is started again and again, and the engine kills the good plugin that the
 * operator enables next for the exits of the bad one.
 */
export function failStart(error: unknown): void {
  explain(`${messageOf(error)} [${codeOf(error)}]`)
  process.exitCode = 1
  stayAlive(() => process.exit(), maxFailedMs)
}

/** Writes why the process ends. Each line by itself, as the engine logs them. */
function explain(text: string, prefix = ''): void {
  for (const line of text.split('\n'))
    process.stderr.write(`ts-overlay: ${prefix}${printable(line)}\n`)
}

/**
 * Ends the process on a signal. As the first process of its container, it gets none that it does
 * not handle.
 */
export function stopOnSignal(stop: () => Promise<void>, logger: Logger): void {
  let isStopping = false
  const handler = (signal: string): void => {
    if (isStopping) return
    isStopping = true
    stopWithin(stop, logger).then(() => process.exit(), endOnBug)
    logger.info('stopping', { signal })
  }
  process.on('SIGTERM', handler)
  process.on('SIGINT', handler)
}

/** Ends the process in good order; the engine starts it again at once. */
export function restart(reason: string, stop: () => Promise<void>, logger: Logger): void {
  logger.info('starting again', { reason })
  stopWithin(stop, logger).then(() => process.exit(1), endOnBug)
}

async function stopWithin(stop: () => Promise<void>, logger: Logger): Promise<void> {
  const late = new Promise<'late'>((tell) => {
    systemClock.setTimeout(() => tell('late'), maxStopMs)
  })
  if ((await Promise.race([stop(), late])) === 'late')
    logger.warn(`stopping took longer than ${maxStopMs} ms; ending now`)
}
