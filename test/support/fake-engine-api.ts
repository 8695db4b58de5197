/** The engine's API on a unix socket of this process: answers what a test lays out. */
import { mkdtemp, rm } from 'node:fs/promises'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly body: unknown
}

export class FakeEngineApi {
  readonly socketPath: string
  readonly asked: Asked[] = []
  /** Answers by `METHOD /path`, without the version and the query. */
  readonly answers = new Map<string, { readonly status: number; readonly body: unknown }>()
  apiVersion = '1.51'
  readonly #directory: string
  #server = createServer()
  readonly #streams = new Set<ServerResponse>()

  private constructor(directory: string) {
    this.#directory = directory
    this.socketPath = join(directory, 'docker.sock')
  }

  static async start(): Promise<FakeEngineApi> {
    const api = new FakeEngineApi(await mkdtemp(join(tmpdir(), 'ts-overlay-engine-')))
    await api.listen()
    return api
  }

  async listen(): Promise<void> {
    this.#server = createServer((request, response) => void this.#answer(request, response))
    await new Promise<void>((resolve) => this.#server.listen(this.socketPath, resolve))
  }

  /** The engine is killed: streams break, and nobody listens. */
  async kill(): Promise<void> {
    for (const stream of this.#streams) stream.destroy()
    this.#streams.clear()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async dispose(): Promise<void> {
    await this.kill()
    await rm(this.#directory, { recursive: true, force: true })
  }

  event(line: string): void {
    for (const stream of this.#streams) stream.write(line)
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request
    const path = decodeURIComponent(url)
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    const text = Buffer.concat(parts).toString()
    this.asked.push({ method, path, body: text === '' ? null : JSON.parse(text) })
    const plain = path.replace(/^\/v1\.\d+/, '').replace(/\?.*/s, '')
    if (plain === '/_ping') response.writeHead(200, { 'Api-Version': this.apiVersion }).end('OK')
    else if (plain === '/events') {
      this.#streams.add(response)
      response.writeHead(200).flushHeaders()
    } else {
      const answer = this.answers.get(`${method} ${plain}`)
      const { status, body } = answer ?? { status: 404, body: { message: 'not found' } }
      response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body))
    }
  }
}
