import type { Clock } from '../base/clock.ts'
import { withDeadline } from '../base/deadline.ts'
import { OverlayError, codeOf, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { printable, shortened } from '../base/printable.ts'
import type { CallStatistics } from './call-statistics.ts'
import type { PluginHandlers } from './handlers.ts'
import type { Prepared, Work } from './method.ts'

/** A message may repeat what was asked for, of any length. */
const maxMessageCharacters = 2000

/** What goes back to the engine: a status and a JSON object. */
export interface Answer {
  readonly status: number
  readonly body: object
}

interface CallRunnerOptions {
  readonly clock: Clock
  readonly logger: Logger
  readonly calls: CallStatistics
  /** How long a call may take, in milliseconds. */
  readonly deadlineMs: number
  /** Called with anything thrown that is no OverlayError after its call was answered. */
  readonly onBug: (error: unknown) => void
}

/** An answer, and the bug that is to be reported once it has gone out. */
export interface Outcome {
  readonly answer: Answer
  readonly bug: { readonly error: unknown } | null
}

/**
 * Runs the engine's calls: none before the driver is ready, none longer than the deadline, each one
 * counted. The engine itself often has no timeout, and a container waits with it.
 */
export class CallRunner {
  readonly #options: CallRunnerOptions
  readonly #waiting = new Set<(reason: OverlayError) => void>()
  readonly #handlers: Promise<PluginHandlers>
  #openGate: (handlers: PluginHandlers) => void = () => {}
  #open = false

  constructor(options: CallRunnerOptions) {
    this.#options = options
    this.#handlers = new Promise((resolve) => (this.#openGate = resolve))
  }

  /** Releases the waiting calls, and all later ones. */
  ready(handlers: PluginHandlers): void {
    this.#open = true
    this.#openGate(handlers)
  }

  /** Runs one call. Never rejects: what goes wrong is the outcome. */
  async run(name: string, prepare: () => Prepared): Promise<Outcome> {
    const { clock, calls } = this.#options
    const begun = clock.now()
    const outcome = await this.#outcome(name, prepare)
    const { status, body } = outcome.answer
    const error = 'Err' in body ? messageOf(body.Err) : null
    calls.record(name, clock.now() - begun, clock.wall(), error)
    this.#options.logger.debug(name, { status, ms: clock.now() - begun })
    return outcome
  }

  /** Answers every call that still runs with `reason`. Their work goes on. */
  interrupt(reason: OverlayError): void {
    for (const reject of this.#waiting) reject(reason)
  }

  async #outcome(name: string, prepare: () => Prepared): Promise<Outcome> {
    try {
      const prepared = prepare()
      const { body } =
        prepared.kind === 'answer' ? prepared : { body: await this.#work(name, prepared) }
      return { answer: success(body), bug: null }
    } catch (error) {
      this.#report(name, error)
      const bug = error instanceof OverlayError ? null : { error }
      return { answer: errorAnswer(error), bug }
    }
  }

  async #work(name: string, todo: Work): Promise<object> {
    const state = { answered: false }
    const work = this.#handlers.then((handlers) => {
      // The engine was told that it failed, so it must not happen after all.
      return state.answered ? {} : this.#followed(name, state, todo, handlers)
    })
    const what = this.#open ? name : `${name}, which waits for the plugin to start,`
    try {
      return await this.#interruptible(
        withDeadline(this.#options.clock, this.#options.deadlineMs, what, work),
      )
    } finally {
      state.answered = true
    }
  }

  /** Reports how work ended whose call had its answer already, and takes it back. */
  async #followed(
    name: string,
    state: { readonly answered: boolean },
    todo: Work,
    handlers: PluginHandlers,
  ): Promise<object> {
    try {
      const result = await todo.run(handlers)
      if (!state.answered) return result
      this.#options.logger.warn(`${name} finished after its deadline`)
      await todo.takeBack(handlers, result)
      return result
    } catch (error) {
      if (!state.answered) throw error
      this.#report(`${name}, after its deadline`, error)
      // Outside of this promise, so that what onBug throws is not lost in it.
      if (!(error instanceof OverlayError)) queueMicrotask(() => this.#options.onBug(error))
      return {}
    }
  }

  #interruptible(work: Promise<object>): Promise<object> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject)
      work.then(resolve, reject).finally(() => this.#waiting.delete(reject))
    })
  }

  #report(name: string, error: unknown): void {
    const { logger } = this.#options
    const asExpected =
      error instanceof OverlayError && error.kind === 'refusal' && error.code !== 'EMPTY_BODY'
    const line = `${name} failed: ${messageOf(error)}`
    if (asExpected) logger.info(line)
    else logger.warn(line)
  }
}

/** The engine takes exactly 200 for success. */
export function success(body: object): Answer {
  return { status: 200, body }
}

/**
 * An error as the engine reads it: the network side reads `Err`, the address side `Error`, and
 * Docker shows the text as it is. A lost body and an unknown method have a status of their own, for
 * traces; the engine treats all alike.
 */
export function errorAnswer(error: unknown): Answer {
  const message =
    error instanceof OverlayError
      ? error.message
      : `a fault in the plugin, which restarts now: ${messageOf(error)}`
  const text = `${printable(shortened(message, maxMessageCharacters))} [${codeOf(error)}]`
  return { status: statusOf(error), body: { Err: text, Error: text } }
}

function statusOf(error: unknown): number {
  if (!(error instanceof OverlayError)) return 500
  if (error.code === 'EMPTY_BODY') return 400
  return error.code === 'UNKNOWN_METHOD' ? 404 : 500
}
