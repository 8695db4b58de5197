import { type Server, createServer } from 'node:http'
import express, { type NextFunction, type Response, Router } from 'express'
import { failure, messageOf } from '../base/errors.ts'
import type { Metrics } from './metrics.ts'

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

/** Serves the same at an address of this host, for Prometheus. Fails with SOCKET. */
export async function serveMetrics(
  router: Router,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<Server> {
  const app = express()
  app.disable('x-powered-by')
  app.use(router)
  const server = createServer(app)
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
