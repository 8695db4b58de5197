import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { checkAnswer } from './engine-checks.ts'

/** The engines whose requests were recorded. */
export const engineVersions = ['20.10.24', '26.1.5', '28.5.2'] as const
export type EngineVersion = (typeof engineVersions)[number]

/** What came back on the wire. */
export interface Reply {
  readonly status: number
  readonly text: string
  readonly headers: IncomingHttpHeaders
}

/** A call that failed, with the message that the engine shows. */
export class EngineError extends Error {
  override readonly name = 'EngineError'
  /** The reply's status; null when there was none. */
  readonly status: number | null

  constructor(message: string, status: number | null) {
    super(message)
    this.status = status
  }
}

export interface FakeEngineOptions {
  readonly socket: string
  readonly version: EngineVersion
  /** How long it waits before each attempt to repeat a call that got no reply. */
  readonly retryDelaysMs?: readonly number[]
}

/**
 * The engine's side of the plugin protocol: sends a call over the socket as its Go client does, and
 * takes only such answers as it takes.
 */
export class FakeEngine {
  readonly #options: FakeEngineOptions
  readonly #agent = new Agent({ keepAlive: true })

  constructor(options: FakeEngineOptions) {
    this.#options = options
  }

  get version(): EngineVersion {
    return this.#options.version
  }

  /**
   * Makes a call, and repeats it as the engine does when no reply comes: with its body lost.
   * Resolves with the answer once it has passed the engine's checks, else throws EngineError.
   */
  async call(name: string, body: string | null): Promise<Readonly<Record<string, unknown>>> {
    const delays = this.#options.retryDelaysMs ?? []
    let reply: Reply | null = null
    for (let attempt = 0; reply === null; attempt++) {
      try {
        reply = await this.send(name, attempt === 0 ? body : null)
      } catch (error) {
        const delay = delays[attempt]
        if (delay === undefined) throw new EngineError(`${name}: ${String(error)}`, null)
        await new Promise((resolve) => setTimeout(resolve, delay))
      }
    }
    const answer = answerOf(name, reply)
    const fault = checkAnswer(name, body === null ? {} : JSON.parse(body), answer)
    if (fault !== null) throw new EngineError(`${name}: ${fault}: ${reply.text}`, reply.status)
    return answer
  }

  /** One attempt, with no judgement of the reply. A null body has length 0. */
  send(name: string, body: string | null): Promise<Reply> {
    const bytes = body === null ? '' : `${body}\n`
    const { socket, version } = this.#options
    return new Promise((resolve, reject) => {
      const outgoing = request({
        socketPath: socket,
        agent: this.#agent,
        method: 'POST',
        path: `/${name}`,
        setHost: false,
        headers: {
          Host: version === '20.10.24' ? '' : 'plugin.moby.localhost',
          'User-Agent': 'Go-http-client/1.1',
          'Content-Length': Buffer.byteLength(bytes),
          Accept: 'application/vnd.docker.plugins.v1.2+json',
        },
      })
      outgoing.once('error', reject)
      outgoing.once('response', (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.once('error', reject)
        incoming.once('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          resolve({ status: incoming.statusCode ?? 0, text, headers: incoming.headers })
        })
      })
      outgoing.end(bytes)
    })
  }

  /** Hangs up. */
  close(): void {
    this.#agent.destroy()
  }
}

/**
 * The answer in a reply, or an EngineError. A reply that is not 200 is an error, told by `Err` or
 * by the whole text; in a 200 the network side takes `Err` for one, and the address side `Error`.
 */
function answerOf(name: string, { status, text }: Reply): Readonly<Record<string, unknown>> {
  const answer = jsonObjectIn(text)
  if (status !== 200) throw new EngineError(`${name}: ${textOf(answer?.['Err']) || text}`, status)
  if (answer === null) throw new EngineError(`${name}: not a JSON object: ${text}`, status)
  const told = textOf(answer[name.startsWith('IpamDriver.') ? 'Error' : 'Err'])
  if (told !== '') throw new EngineError(`remote: ${told}`, status)
  return answer
}

function jsonObjectIn(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
