import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from './base/clock.ts'
import { isBug, messageOf } from './base/errors.ts'
import type { Logger } from './base/logger.ts'
import { systemRandom } from './base/random.ts'
import { LinuxResolvers } from './dataplane/linux/resolver/linux-resolvers.ts'
import { ResolverService } from './wiring/names/resolver-service.ts'
import type { FromThread, ThreadOptions, ToThread } from './wiring/names/resolver-thread.ts'

/*
 * The program of the thread that answers the queries of containers: the table of names, and the
 * resolvers in the sandboxes. The main thread tells it what changes; it answers from what it has,
 * also while the main thread is busy.
 */

const port = parentPort!
const { sandboxDirectory, processName, auditIntervalMs } = workerData as ThreadOptions
const tell = (message: FromThread): void => port.postMessage(message)
/** Warnings alone: the thread's events are none that an operator waits for. */
const logger: Logger = {
  debug: () => {},
  info: () => {},
  warn: (message) => tell({ kind: 'warning', message }),
  child: () => logger,
}

const [clock, random] = [systemClock, systemRandom]
const service = new ResolverService({
  clock,
  random,
  logger,
  auditIntervalMs,
  resolvers: (answer) => {
    return new LinuxResolvers({ sandboxDirectory, answer, clock, logger, processName })
  },
})

port.on('message', (message: ToThread) => {
  if (message.kind === 'changes') service.apply(message.changes)
  else void answer(message)
})

async function answer({ id, verb, args }: Extract<ToThread, { kind: 'call' }>): Promise<void> {
  try {
    const call = service[verb].bind(service) as (...some: readonly unknown[]) => Promise<unknown>
    tell({ kind: 'result', id, value: await call(...args) })
  } catch (error) {
    if (isBug(error)) throw error
    tell({ kind: 'failure', id, message: messageOf(error) })
  }
}
