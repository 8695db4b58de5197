import { type Server, createServer } from 'node:http'
import express, { type NextFunction, type Response, Router } from 'express'
import { failure, messageOf } from '../base/errors.ts'
import type { Metrics } from './metrics.ts'
import { ownNameOnly } from './page-routes.ts'

const unavailable = 503

/**
 * `GET /metrics` in Prometheus' text format, and `GET /healthz`: 200 as long as the plugin serves
 * the engine, 503 with the reason when it does not.
 */
export function metricsRoutes(metrics: Metrics, illness: () => string | null): Router {
  const router = Router()
  router.get('/metrics', (_request, response: Response, next: NextFunction) => {
    metrics.render().then(({ type, text }) => response.type(type).send(text), next)
  })
  router.get('/healthz', (_request, response) => {
    const reason = illness()
    response.type('text').status(reason === null ? 200 : unavailable)
    response.send(`${reason ?? 'ok'}\n`)
  })
  return router
}

/** Connections of browsers and of Prometheus at a time. */
const maxConnections = 100

/** Serves them at an address of this host, for Prometheus and browsers. Fails with SOCKET. */
export async function serveMetrics(
  routers: readonly Router[],
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Server> {
  const app = express()
  app.disable('x-powered-by')
  // At another address, Prometheus may use any name; what it reads is open to that network anyway.
  if (/^(127\.|::1$|localhost$)/.test(host)) app.use(ownNameOnly)
  for (const router of routers) app.use(router)
  const server = createServer(app)
  server.maxConnections = maxConnections
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const remedy = 'METRICS_ADDR has to be an address of this host with a port that is free'
      reject(
        failure('SOCKET', `metrics at ${host} port ${port}: ${messageOf(error)}; ${remedy}`, error),
      )
    })
    server.listen(port, host, resolve)
  })
  return server.unref()
}
