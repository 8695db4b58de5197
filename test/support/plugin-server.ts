import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Router } from 'express'
import { type Clock, systemClock } from '../../src/base/clock.ts'
import { createLogger } from '../../src/base/logger.ts'
import { CallStatistics } from '../../src/engine-api/call-statistics.ts'
import type { Introduction, PluginHandlers } from '../../src/engine-api/handlers.ts'
import { PluginServer } from '../../src/engine-api/plugin-server.ts'

/** A server on sockets of its own, and all that can be seen of it. */
export interface ServerUnderTest {
  readonly server: PluginServer
  readonly managed: string
  readonly legacy: string
  readonly calls: CallStatistics
  readonly bugs: unknown[]
  readonly log: string[]
  dispose(): Promise<void>
}

export interface ServerOptions {
  readonly clock?: Clock
  readonly introduction?: Partial<Introduction>
  readonly hostRoutes?: Router
  readonly deadlineMs?: number
  readonly closeGraceMs?: number
  /** Handed over at once; without them the server stays as before `ready`. */
  readonly handlers?: PluginHandlers
}

const introduction: Introduction = {
  scope: 'local',
  connectivityScope: 'global',
  addressSpaces: { local: 'here', global: 'everywhere' },
  requestReplay: true,
}

/** Starts a server in a fresh directory. */
export async function startServer(options: ServerOptions = {}): Promise<ServerUnderTest> {
  const directory = await mkdtemp(join(tmpdir(), 'ts-overlay-sockets-'))
  const [managed, legacy] = [join(directory, 'managed.sock'), join(directory, 'legacy.sock')]
  const { clock = systemClock, hostRoutes, deadlineMs, closeGraceMs, handlers } = options
  const [bugs, log, calls] = [[] as unknown[], [] as string[], new CallStatistics()]
  const server = new PluginServer({
    introduction: { ...introduction, ...options.introduction },
    clock,
    logger: createLogger((line) => log.push(line)).logger,
    calls,
    onBug: (error) => bugs.push(error),
    ...(hostRoutes === undefined ? {} : { hostRoutes }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    ...(closeGraceMs === undefined ? {} : { closeGraceMs }),
  })
  await server.listen({ managed, legacy })
  if (handlers !== undefined) server.ready(handlers)
  const dispose = async (): Promise<void> => {
    await server.close()
    await rm(directory, { recursive: true, force: true })
  }
  return { server, managed, legacy, calls, bugs, log, dispose }
}
