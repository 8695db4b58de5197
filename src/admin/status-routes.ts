import { Router } from 'express'

/** How far the JSON is indented: people read it with curl. */
const indentation = 2

/** `GET /status`: what `status` returns, as JSON. */
export function statusRoutes(status: () => unknown): Router {
  const router = Router()
  router.get('/status', (_request, response) => {
    response.type('json').send(`${JSON.stringify(status(), null, indentation)}\n`)
  })
  return router
}
