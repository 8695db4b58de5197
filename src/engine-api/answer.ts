import { OverlayError, codeOf, messageOf } from '../base/errors.ts'
import { printable, shortened } from '../base/printable.ts'

/** A message may repeat what was asked for, of any length. */
const maxMessageCharacters = 2000

/** What goes back to the engine: a status and a JSON object. */
export interface Answer {
  readonly status: number
  readonly body: object
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
