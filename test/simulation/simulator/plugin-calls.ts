import { refusal } from '../../../src/base/errors.ts'
import type { Logger } from '../../../src/base/logger.ts'
import { CallRunner } from '../../../src/engine-api/call-runner.ts'
import { CallStatistics } from '../../../src/engine-api/call-statistics.ts'
import type { PluginHandlers } from '../../../src/engine-api/handlers.ts'
import { ipamMethods } from '../../../src/engine-api/ipam-methods.ts'
import type { Prepared } from '../../../src/engine-api/method.ts'
import { networkMethods } from '../../../src/engine-api/network-methods.ts'
import type { Life } from './life.ts'

/** As the plugin's server has it, ms. */
const deadlineMs = 8_000
/** What the way through a socket takes, ms. */
const socketMs = 0.1

export interface Reply {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

/** The plugin's socket: all of the engine's protocol but HTTP itself. */
export class PluginCalls {
  readonly #life: Life
  readonly #runner: CallRunner

  constructor(life: Life, logger: Logger, onBug: (error: unknown) => void) {
    this.#life = life
    this.#runner = new CallRunner({
      clock: life,
      logger,
      calls: new CallStatistics(),
      deadlineMs,
      onBug,
    })
    this.#onBug = onBug
  }

  readonly #onBug: (error: unknown) => void

  ready(handlers: PluginHandlers): void {
    this.#runner.ready(handlers)
  }

  /** One call with its body, null for an empty one. Never settles when the process ends before. */
  call(name: string, body: object | null): Promise<Reply> {
    const life = this.#life
    return new Promise((resolve) => {
      life.setTimeout(() => {
        void this.#runner
          .run(name, () => prepare(name, body))
          .then(({ answer, bug }) => {
            if (bug !== null) this.#onBug(bug.error)
            const reply = { status: answer.status, body: answer.body as Reply['body'] }
            life.setTimeout(() => resolve(reply), socketMs)
          })
      }, socketMs)
    })
  }
}

function prepare(name: string, body: object | null): Prepared {
  const method = networkMethods.get(name) ?? ipamMethods.get(name)
  if (method === undefined) throw refusal('UNKNOWN_METHOD', `no method ${name}`)
  if (body === null) throw refusal('EMPTY_BODY', `${name} came without its arguments`)
  return method.prepare(JSON.parse(JSON.stringify(body)))
}
