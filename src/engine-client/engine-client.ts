/**
 * A client of the engine's own API, over its unix socket. It is for work in the background alone;
 * engine.ts has the interface. The API is root on the host: only the calls that are used are here.
 */
import type { Clock } from '../base/clock.ts'
import { failure, isBug, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { Retry } from '../base/timers.ts'
import type {
  Engine,
  EngineContainer,
  EngineEvent,
  EngineListener,
  EngineNetwork,
  EngineNetworkSpec,
  EngineRefusal,
  EngineStatus,
  ListedContainer,
} from './engine.ts'
import { type HttpAnswer, type HttpCall, call, stream } from './http.ts'
import {
  containerOf,
  containersOf,
  createdOf,
  errorOf,
  eventOf,
  networkOf,
  networksOf,
} from './objects.ts'

/** The newest version of the API that this client knows; an older engine's own is used. */
const newestApi = { major: 1, minor: 51 }
/** While the engine starts, it answers only after its containers run again. */
const callMs = 120_000
const backoff = { firstMs: 250, maxMs: 5000 }

/** Other events come often: a health check is several a second. */
const filters = {
  type: ['network', 'container'],
  event: ['create', 'connect', 'disconnect', 'destroy', 'prune', 'start', 'die', 'rename'],
}

interface EngineClientParts {
  readonly socketPath: string
  readonly clock: Clock
  readonly logger: Logger
}

export class EngineClient implements Engine {
  readonly #parts: EngineClientParts
  readonly #listeners = new Set<EngineListener>()
  readonly #connecting: Retry
  #ended = new AbortController()
  #apiVersion: string | null = null
  #connected = false

  constructor(parts: EngineClientParts) {
    const { clock, logger } = parts
    this.#parts = parts
    this.#connecting = new Retry({
      clock,
      backoff,
      run: () => this.#connect(),
      warn: (message) => logger.warn(`${message}; trying again`),
    })
  }

  start(): void {
    this.#ended = new AbortController()
    this.#connecting.start()
  }

  stop(): void {
    this.#connecting.stop()
    this.#ended.abort(new Error('the plugin stops'))
  }

  status(): EngineStatus {
    const connected = this.#connected
    const { lastFailure } = this.#connecting
    return { connected, apiVersion: this.#apiVersion, failure: connected ? null : lastFailure }
  }

  listen(listener: EngineListener): void {
    this.#listeners.add(listener)
    if (this.#connected) listener.connected?.()
  }

  async networks(): Promise<EngineNetwork[]> {
    return (await this.#get('/networks', networksOf))!
  }

  network(id: string): Promise<EngineNetwork | null> {
    return this.#get(`/networks/${encodeURIComponent(id)}`, networkOf)
  }

  async containers(networkName?: string): Promise<ListedContainer[]> {
    const query = networkName === undefined ? '' : `&${filterQuery({ network: [networkName] })}`
    return (await this.#get(`/containers/json?all=1${query}`, containersOf))!
  }

  container(id: string): Promise<EngineContainer | null> {
    return this.#get(`/containers/${encodeURIComponent(id)}/json`, containerOf)
  }

  async createNetwork(spec: EngineNetworkSpec): Promise<{ readonly id: string } | EngineRefusal> {
    const { EnableIPv4, ...rest } = spec
    // Engines before API 1.48 do not know of IPv4, those before 1.44 accept a name twice.
    const body = { ...rest, ...(EnableIPv4 ? {} : { EnableIPv4 }), CheckDuplicate: true }
    const answer = await this.#call('POST', '/networks/create', body)
    return answer.status === 201 ? { id: createdOf(answer.text).Id } : refusalOf(answer)
  }

  async removeNetwork(id: string): Promise<EngineRefusal | null> {
    const answer = await this.#call('DELETE', `/networks/${encodeURIComponent(id)}`)
    return answer.status === 204 || answer.status === 404 ? null : refusalOf(answer)
  }

  async #connect(): Promise<void> {
    const { clock, logger } = this.#parts
    this.#apiVersion = versionFor(await this.#send('GET', '/_ping'))
    // The engine answers a moment before it subscribes us: what happens then is repeated to us.
    const since = Math.floor(clock.wall() / 1000)
    const path = `/v${this.#apiVersion}/events?since=${since}&${filterQuery(filters)}`
    const options = this.#options('GET', path)
    const answer = await stream(
      options,
      (line) => this.#onLine(line),
      (why) => this.#onEnd(why),
    )
    if (answer.status !== 200)
      throw failure('ENGINE', `the engine answered ${answer.status} to GET ${path}`)
    this.#connected = true
    logger.info('connected to the engine', { api: this.#apiVersion })
    for (const listener of this.#listeners) listener.connected?.()
  }

  #onLine(line: string): void {
    if (!this.#connected) return
    let event: EngineEvent
    try {
      event = eventOf(line)
    } catch (error) {
      if (isBug(error)) throw error
      return this.#parts.logger.warn(messageOf(error))
    }
    for (const listener of this.#listeners) listener.event?.(event)
  }

  #onEnd(why: string): void {
    if (!this.#connected) return
    this.#connected = false
    if (!this.#ended.signal.aborted) this.#connecting.note(`the engine's events ended: ${why}`)
  }

  async #get<T>(path: string, decode: (json: string) => T): Promise<T | null> {
    const answer = await this.#call('GET', path)
    if (answer.status === 404) return null
    if (answer.status === 200) return decode(answer.text)
    const { status, message } = refusalOf(answer)
    throw failure('ENGINE', `the engine answered ${status} to GET ${path}: ${message}`)
  }

  async #call(method: HttpCall['method'], path: string, body?: object): Promise<HttpAnswer> {
    this.#apiVersion ??= versionFor(await this.#send('GET', '/_ping'))
    return this.#send(method, `/v${this.#apiVersion}${path}`, body)
  }

  async #send(method: HttpCall['method'], path: string, body?: object): Promise<HttpAnswer> {
    const { clock } = this.#parts
    const deadline = new AbortController()
    const late = new Error(`no answer within ${callMs} ms`)
    const timer = clock.setTimeout(() => deadline.abort(late), callMs)
    const signal = AbortSignal.any([this.#ended.signal, deadline.signal])
    try {
      return await call({ ...this.#options(method, path), signal, ...(body && { body }) })
    } finally {
      clock.clearTimeout(timer)
    }
  }

  #options(method: HttpCall['method'], path: string): HttpCall {
    const { socketPath } = this.#parts
    return { socketPath, method, path, signal: this.#ended.signal }
  }
}

/** The API version to use with an engine: the older one of both. */
function versionFor(ping: HttpAnswer): string {
  const theirs = ping.header('api-version')
  const [, major, minor] = /^(\d+)\.(\d+)$/.exec(theirs) ?? []
  if (major === undefined || Number(major) !== newestApi.major)
    throw failure('ENGINE', `the engine's API version "${theirs}" is unknown; upgrade the plugin`)
  return `${newestApi.major}.${Math.min(newestApi.minor, Number(minor))}`
}

function refusalOf({ status, text }: HttpAnswer): EngineRefusal {
  return { status, message: text.startsWith('{') ? errorOf(text).message : text.slice(0, 500) }
}

function filterQuery(by: Readonly<Record<string, readonly string[]>>): string {
  return `filters=${encodeURIComponent(JSON.stringify(by))}`
}
