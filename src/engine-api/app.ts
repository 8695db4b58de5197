import express, {
  type Express,
  type NextFunction,
  type Request,
  type RequestHandler,
  type Response,
  type Router,
} from 'express'
import type { Clock } from '../base/clock.ts'
import { refusal } from '../base/errors.ts'
import { type CallRunner, type Outcome, errorAnswer } from './call-runner.ts'
import { decodeJson } from './messages/decode.ts'
import type { Introduction } from './handlers.ts'
import { ipamMethods } from './ipam-methods.ts'
import type { Prepared } from './method.ts'
import { networkMethods } from './network-methods.ts'

/**
 * The longest body that is read. Every port of every protocol published makes about 26 MB; only
 * root can send any.
 */
const maxBodyBytes = 32 * 1024 * 1024

/**
 * How long a body may take to arrive, in milliseconds. The engine sends head and body at once;
 * connections themselves have no time limit.
 */
const maxBodyMs = 30_000

/** What the engine asks for in its Accept header. */
const contentType = 'application/vnd.docker.plugins.v1.2+json'

/** Which socket the engine came through. */
export type SocketRole = 'managed' | 'legacy'

interface AppOptions {
  readonly role: SocketRole
  readonly introduction: Introduction
  readonly runner: CallRunner
  readonly clock: Clock
  /** Told of a bug once its call has been answered. */
  readonly onBug: (error: unknown) => void
  /** Whether connections are to end with their next answer. */
  readonly closing: () => boolean
  /** Routes for people on this host. */
  readonly hostRoutes: Router | null
}

/** The plugin protocol as an Express app: one for each socket. */
export function createApp(options: AppOptions): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.use(hangUpOnSlow(options.clock))
  if (options.hostRoutes !== null) app.use(options.hostRoutes)
  const introductions = introductionsOf(options)
  // The engine names no content type, and an empty body must not be taken for `{}`.
  app.use(express.raw({ type: () => true, limit: maxBodyBytes, inflate: false }))
  app.post('/:method', (request, response, next) => {
    const name = request.params.method
    const known = introductions.has(name) || networkMethods.has(name) || ipamMethods.has(name)
    const prepared = (): Prepared => prepare(name, textOf(request.body), introductions)
    options.runner.run(known ? name : 'unknown method', prepared).then((outcome) => {
      reply(response, outcome, options)
    }, next)
  })
  app.use((request, response) => {
    const message = `there is no ${request.method} ${request.path}; calls are POST /Driver.Method`
    const answer = errorAnswer(refusal('UNKNOWN_METHOD', message))
    reply(response, { answer, bug: null }, options)
  })
  // Express knows an error handler by its four parameters.
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    reply(response, outcomeOf(error, request.path), options)
  })
  return app
}

function hangUpOnSlow(clock: Clock): RequestHandler {
  return (request, _response, next) => {
    const timer = clock.setTimeout(() => request.destroy(), maxBodyMs)
    for (const event of ['end', 'close']) request.once(event, () => clock.clearTimeout(timer))
    next()
  }
}

/** Calls without arguments, and their constant answers. */
function introductionsOf({ role, introduction }: AppOptions): ReadonlyMap<string, object> {
  return new Map<string, object>([
    ['Plugin.Activate', { Implements: ['NetworkDriver', 'IpamDriver'] }],
    [
      'NetworkDriver.GetCapabilities',
      {
        Scope: role === 'legacy' ? 'local' : introduction.scope,
        ConnectivityScope: introduction.connectivityScope,
      },
    ],
    [
      'IpamDriver.GetCapabilities',
      { RequiresMACAddress: false, RequiresRequestReplay: introduction.requestReplay },
    ],
    [
      'IpamDriver.GetDefaultAddressSpaces',
      {
        LocalDefaultAddressSpace: introduction.addressSpaces.local,
        GlobalDefaultAddressSpace: introduction.addressSpaces.global,
      },
    ],
  ])
}

function prepare(name: string, text: string, introductions: ReadonlyMap<string, object>): Prepared {
  const body = introductions.get(name)
  if (body !== undefined) return { kind: 'answer', body }
  const method = networkMethods.get(name) ?? ipamMethods.get(name)
  if (method === undefined) {
    throw refusal('UNKNOWN_METHOD', `this plugin has no method ${name}`)
  }
  if (text.trim() === '') {
    throw refusal(
      'EMPTY_BODY',
      `${name} came without its arguments: the engine repeats a call whose connection broke, and ` +
        'loses the body; repeat the docker command',
    )
  }
  return method.prepare(decodeJson(name, text))
}

/** The body, which Express leaves undefined when the request announced none. */
function textOf(body: unknown): string {
  return Buffer.isBuffer(body) ? body.toString('utf8') : ''
}

/** Express marks what is wrong with the request by a status; any other error is a bug. */
function outcomeOf(error: unknown, path: string): Outcome {
  const isRequestError = error instanceof Error && 'status' in error
  if (!isRequestError) return { answer: errorAnswer(error), bug: { error } }
  const message = `${path.slice(1)}: the request could not be read: ${error.message}`
  return { answer: errorAnswer(refusal('BAD_REQUEST', message)), bug: null }
}

function reply(response: Response, { answer, bug }: Outcome, options: AppOptions): void {
  if (bug !== null) whenGone(response, () => options.onBug(bug.error))
  response.statusCode = answer.status
  response.setHeader('Content-Type', contentType)
  if (options.closing()) response.setHeader('Connection', 'close')
  response.end(`${JSON.stringify(answer.body)}\n`)
}

/** The engine may have hung up long before; then there is no more `close` to wait for. */
function whenGone(response: Response, tell: () => void): void {
  if (response.destroyed) queueMicrotask(tell)
  else response.once('close', tell)
}
