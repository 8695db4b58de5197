import { type Server, createServer } from 'node:http'
import type { Router } from 'express'
import type { Clock } from '../base/clock.ts'
import { failure } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { type SocketRole, createApp } from './app.ts'
import { CallRunner } from './call-runner.ts'
import type { CallStatistics } from './call-statistics.ts'
import type { Introduction, PluginHandlers } from './handlers.ts'
import { removeStaleSocket } from './socket-file.ts'

/*
 * The engine's plugin protocol: HTTP requests on unix sockets become validated calls of
 * NetworkDriverHandlers and IpamDriverHandlers, and what these return or throw becomes answers that
 * every engine since 20.10 understands.
 *
 * Invariant: each request gets exactly one answer within the deadline, success is answered only
 * after the handler has succeeded, and no handler sees an argument of a wrong type.
 *
 * It may not keep any state of networks, call another room, or know what a handler does.
 */

/**
 * How long a call may take. The engine times out after 30 s or never, and kills a stopping plugin
 * after 10 s.
 */
const deadlineMsDefault = 8_000
/** How long calls may finish when the plugin stops: the engine kills it 10 s after its SIGTERM. */
const closeGraceMsDefault = 1_500
/**
 * Listen backlog: an engine that starts hundreds of containers opens as many connections at once,
 * and one that is refused loses the body of its call. The kernel's own limit is 4096.
 */
const backlog = 4096
/** New sockets are for root alone. */
const umask = 0o177
/** Time for the last answers to be sent, ms. */
const lastAnswersMs = 100

interface PluginServerOptions {
  readonly introduction: Introduction
  readonly clock: Clock
  readonly logger: Logger
  readonly calls: CallStatistics
  /** Routes beside the protocol's, on the legacy socket only: those are for people on this host. */
  readonly hostRoutes?: Router
  /** Told of a bug once its call has been answered; meant to end the process. */
  readonly onBug: (error: unknown) => void
  readonly deadlineMs?: number
  readonly closeGraceMs?: number
}

/** Serves the engine on its two sockets. */
export class PluginServer {
  readonly #options: PluginServerOptions
  readonly #runner: CallRunner
  readonly #servers: Server[] = []
  #closed: Promise<void> | null = null

  constructor(options: PluginServerOptions) {
    this.#options = options
    const { clock, logger, calls, onBug, deadlineMs = deadlineMsDefault } = options
    this.#runner = new CallRunner({ clock, logger, calls, onBug, deadlineMs })
  }

  /**
   * Listens at these paths; null leaves a socket out. From then on the engine's introduction is
   * answered; other calls wait until `ready`. Throws SOCKET when a path cannot be listened at.
   */
  async listen(paths: { managed: string | null; legacy: string | null }): Promise<void> {
    if (paths.managed !== null) await this.#listen('managed', paths.managed)
    if (paths.legacy !== null) await this.#listen('legacy', paths.legacy)
  }

  /** Passes waiting and later calls to the handlers. */
  ready(handlers: PluginHandlers): void {
    this.#runner.ready(handlers)
  }

  /**
   * Closes the listeners, gives running calls a grace period, then answers the rest with an error
   * and closes all connections. Resolves when both sockets are gone.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #listen(role: SocketRole, path: string): Promise<void> {
    await removeStaleSocket(path)
    const { introduction, clock, onBug, hostRoutes } = this.#options
    const app = createApp({
      clock,
      role,
      introduction,
      runner: this.#runner,
      onBug,
      closing: () => this.#closed !== null,
      hostRoutes: role === 'legacy' ? (hostRoutes ?? null) : null,
    })
    // The engine keeps its connections; closing one makes it lose the body of its next call.
    const noTimeouts = { keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0 }
    const server = createServer(
      { ...noTimeouts, requireHostHeader: false },
      (request, response) => {
        app(request, response)
      },
    )
    await listening(server, path)
    this.#servers.push(server)
    this.#options.logger.info(`listening at ${path}`, { role })
  }

  async #close(): Promise<void> {
    const { clock, closeGraceMs = closeGraceMsDefault } = this.#options
    const timer = clock.setTimeout(() => {
      this.#runner.interrupt(failure('DEADLINE', 'the plugin is stopping; try again'))
      clock.setTimeout(() => {
        for (const server of this.#servers) server.closeAllConnections()
      }, lastAnswersMs)
    }, closeGraceMs)
    await Promise.all(this.#servers.map(closing))
    clock.clearTimeout(timer)
  }
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      reject(failure('SOCKET', `cannot listen at ${path}: ${error.message}`, error))
    })
    // The socket is made before `listen` returns, so there is no moment at which others could open
    // it.
    const before = process.umask(umask)
    server.listen({ path, backlog }, resolve)
    process.umask(before)
  })
}

function closing(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeIdleConnections()
  })
}
