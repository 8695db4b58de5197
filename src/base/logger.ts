import createDebug from 'debug'
import type { EventKind } from './codes.ts'
import { printable, shortened } from './printable.ts'

/** Facts that go with a log line. One with `event` is kept for `GET /events`. */
export type LogFields = Readonly<Record<string, unknown>> & { readonly event?: EventKind }

/** Where a room reports what it does. A room is given its own, made by `child`. */
export interface Logger {
  /** Only with DEBUG set: the detail that a reader of a trace wants. */
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  /** Something an operator may have to act on. Kept for `/status`. */
  warn(message: string, fields?: LogFields): void
  child(room: string): Logger
}

/** One reported problem, as `/status` shows it. */
export interface LoggedProblem {
  readonly at: string
  readonly room: string
  readonly message: string
  /** What went with the line, such as which network or which member. */
  readonly fields?: LogFields
}

/** Something that happened, as `GET /events` shows it. */
export interface LoggedEvent extends LoggedProblem {
  /** Rises by one with each event of this process. */
  readonly sequence: number
  readonly event: EventKind
}

/** How many problems `/status` can show: enough for one incident, small enough to read. */
const problemsKept = 50
/** How many events: about a day of a cluster that is busy. */
const eventsKept = 1000

/** Lines may repeat what other hosts sent. The longest stack trace fits. */
const maxLineCharacters = 4000

/**
 * How much a line matters: the engine logs our standard output as information, our errors as
 * errors.
 */
type LogLevel = 'debug' | 'info' | 'warn'

/** Hands each line, printable, to `write`, and keeps the last warnings and the last events. */
export function createLogger(write: (line: string, level: LogLevel) => void): {
  logger: Logger
  problems: readonly LoggedProblem[]
  events: readonly LoggedEvent[]
} {
  const problems: LoggedProblem[] = []
  const events: LoggedEvent[] = []
  let sequence = 0
  const keep = (room: string, message: string, fields?: LogFields): LoggedProblem => {
    const { event, ...rest } = fields ?? {}
    const kept = Object.keys(rest).length === 0 ? {} : { fields: rest }
    const line = { at: new Date().toISOString(), room, message: lineOf(message), ...kept }
    if (event !== undefined) events.push({ sequence: ++sequence, event, ...line })
    if (events.length > eventsKept) events.shift()
    return line
  }
  const forRoom = (room: string): Logger => {
    const trace = createDebug(`ts-overlay:${room}`)
    trace.log = (...args: unknown[]) => write(lineOf(args.join(' ')), 'debug')
    const line = (level: string, message: string, fields?: LogFields): string => {
      const shown = JSON.stringify({ ...fields, event: undefined })
      return lineOf(`${level} ${room}: ${message}${shown === '{}' ? '' : ` ${shown}`}`)
    }
    return {
      debug: (message, fields) => trace(`${message}${fields ? ` ${JSON.stringify(fields)}` : ''}`),
      info: (message, fields) => {
        write(line('info', message, fields), 'info')
        keep(room, message, fields)
      },
      warn: (message, fields) => {
        write(line('warn', message, fields), 'warn')
        problems.push(keep(room, message, fields))
        if (problems.length > problemsKept) problems.shift()
      },
      child: (name) => forRoom(name),
    }
  }
  return { logger: forRoom('main'), problems, events }
}

function lineOf(text: string): string {
  return printable(shortened(text, maxLineCharacters))
}

/** A logger that discards everything, for tests. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  child: () => silentLogger,
}
