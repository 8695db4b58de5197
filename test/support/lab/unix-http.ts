/** HTTP over a unix socket, for the engine's API and the plugin's own socket. */
import { request } from 'node:http'
import { connect } from 'node:net'
import { scaled } from '../time.ts'

export interface Answer {
  readonly status: number
  /** Decoded where the answer is JSON, else the text. */
  readonly body: unknown
}

/**
 * Sends one request. `body`, where given, is sent as JSON; the call fails after `timeoutMs` without
 * an answer, scaled.
 */
export async function callUnixSocket(
  socketPath: string,
  method: string,
  path: string,
  options: { body?: unknown; timeoutMs?: number } = {},
): Promise<Answer> {
  const { body, timeoutMs = 30_000 } = options
  const text = body === undefined ? '' : JSON.stringify(body)
  const headers = text === '' ? {} : { 'Content-Type': 'application/json' }
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(scaled(timeoutMs))
    const call = request(
      { socketPath, method, path, headers, signal, agent: false },
      (response) => {
        const parts: Buffer[] = []
        response.on('data', (part: Buffer) => parts.push(part))
        response.on('error', reject)
        response.on('end', () => {
          resolve({
            status: response.statusCode ?? 0,
            body: decode(Buffer.concat(parts).toString()),
          })
        })
      },
    )
    call.on('error', reject)
    call.end(text)
  })
}

/** Whether somebody listens on the socket. */
export async function canConnect(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath)
    socket.on('connect', () => resolve(true))
    socket.on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}

function decode(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}
