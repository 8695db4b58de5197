import createDebug from 'debug'
import { printable, shortened } from './printable.ts'

/** Facts that go with a log line. */
export type LogFields = Readonly<Record<string, unknown>>

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

/** How many problems `/status` can show: enough for one incident, small enough to read. */
const problemsKept = 50

/** Lines may repeat what other hosts sent. The longest stack trace fits. */
const maxLineCharacters = 4000

/**
 * How much a line matters: the engine logs our standard output as information, our errors as
 * errors.
 */
type LogLevel = 'debug' | 'info' | 'warn'

/** Hands each line, printable, to `write`. `problems` keeps the last warnings for `/status`. */
export function createLogger(write: (line: string, level: LogLevel) => void): {
  logger: Logger
  problems: readonly LoggedProblem[]
} {
  const problems: LoggedProblem[] = []
  const forRoom = (room: string): Logger => {
    const trace = createDebug(`ts-overlay:${room}`)
    trace.log = (...args: unknown[]) => write(lineOf(args.join(' ')), 'debug')
    const line = (level: string, message: string, fields?: LogFields): string =>
      lineOf(
        `${level} ${room}: ${message}${fields === undefined ? '' : ` ${JSON.stringify(fields)}`}`,
      )
    return {
      debug: (message, fields) => trace(`${message}${fields ? ` ${JSON.stringify(fields)}` : ''}`),
      info: (message, fields) => write(line('info', message, fields), 'info'),
      warn: (message, fields) => {
        write(line('warn', message, fields), 'warn')
        const at = new Date().toISOString()
        problems.push({ at, room, message: lineOf(message), ...(fields && { fields }) })
        if (problems.length > problemsKept) problems.shift()
      },
      child: (name) => forRoom(name),
    }
  }
  return { logger: forRoom('main'), problems }
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
