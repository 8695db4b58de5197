import { type IncomingMessage, request } from 'node:http'
import { failure, messageOf } from '../base/errors.ts'

/** The list of a thousand containers with many labels has a few MB. */
const maxAnswerBytes = 32 << 20
/** An event has the labels of its container. */
const maxLineBytes = 1 << 20

export interface HttpCall {
  readonly socketPath: string
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly body?: object
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  readonly header: (name: string) => string
  readonly text: string
}

/** One call, its answer read to its end. Rejects with ENGINE. */
export async function call(options: HttpCall): Promise<HttpAnswer> {
  const response = await send(options)
  let text = ''
  response.setEncoding('utf8')
  try {
    for await (const part of response as AsyncIterable<string>) {
      text += part
      if (text.length > maxAnswerBytes) throw failure('ENGINE', `more than ${maxAnswerBytes} bytes`)
    }
  } catch (error) {
    throw away(options, error)
  }
  return answerOf(response, text)
}

/** A call whose answer does not end: each line of it goes to `onLine`, until its end or failure. */
export async function stream(
  options: HttpCall,
  onLine: (line: string) => void,
  onEnd: (why: string) => void,
): Promise<HttpAnswer> {
  const response = await send(options)
  let rest = ''
  let why = 'the engine closed the connection'
  response.setEncoding('utf8')
  response.on('data', (part: string) => {
    const lines = (rest + part).split('\n')
    rest = lines.pop()!
    if (rest.length > maxLineBytes) response.destroy(new Error('an event is too long'))
    else for (const line of lines) if (line.trim() !== '') onLine(line)
  })
  response.on('error', (error) => (why = messageOf(error)))
  // After an engine that was killed there is no `end`.
  response.on('close', () => onEnd(why))
  return answerOf(response, '')
}

function send(options: HttpCall): Promise<IncomingMessage> {
  const { body, ...rest } = options
  const json = body === undefined ? '' : JSON.stringify(body)
  const headers = json === '' ? {} : { 'Content-Type': 'application/json' }
  return new Promise((resolve, reject) => {
    // A connection for each call: none is left over that an engine's restart has broken.
    const sent = request({ ...rest, headers, agent: false }, resolve)
    sent.on('error', (error) => reject(away(options, error)))
    sent.end(json)
  })
}

function answerOf({ statusCode = 0, headers }: IncomingMessage, text: string): HttpAnswer {
  return { status: statusCode, header: (name) => String(headers[name] ?? ''), text }
}

function away({ method, path, socketPath, signal }: HttpCall, error: unknown) {
  const why = signal.aborted ? messageOf(signal.reason) : messageOf(error)
  return failure('ENGINE', `${method} ${path} of the engine's API at ${socketPath}: ${why}`, error)
}
