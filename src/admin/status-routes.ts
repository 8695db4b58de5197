import { Router } from 'express'
import { printableLines } from '../base/printable.ts'

/** How far the JSON is indented: people read it with curl. */
const indentation = 2

/** `GET /status`: what `status` returns, as JSON. */
export function statusRoutes(status: () => unknown): Router {
  const router = Router()
  router.get('/status', (_request, response) => {
    const text = printableLines(JSON.stringify(status(), null, indentation))
    response.type('json').send(`${text}\n`)
  })
  return router
}
