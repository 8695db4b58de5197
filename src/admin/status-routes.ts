import { type Response, Router } from 'express'
import { printableLines } from '../base/printable.ts'

/** How far the JSON is indented: people read it with curl. */
const indentation = 2

/**
 * `GET /status`: what `status` returns, as JSON. `GET /events`: `events`, with `?after=N` those of
 * higher sequence numbers only. `GET /views`: what each live member says of itself, by name; null
 * of one that does not answer.
 */
export function statusRoutes(sources: {
  readonly status: () => unknown
  readonly views: () => Promise<unknown>
  readonly events: () => readonly { readonly sequence: number }[]
}): Router {
  const router = Router()
  router.get('/status', (_request, response) => answerJson(response, sources.status()))
  router.get('/views', (_request, response, next) => {
    sources.views().then((views) => answerJson(response, views), next)
  })
  router.get('/events', (request, response) => {
    const after = Number(request.query['after'] ?? 0)
    const events = sources.events().filter(({ sequence }) => !(sequence <= after))
    answerJson(response, { events })
  })
  return router
}

/** JSON that people read with curl: indented, and without control characters. */
export function answerJson(response: Response, value: unknown): void {
  const text = printableLines(JSON.stringify(value, null, indentation))
  response.type('json').send(`${text}\n`)
}
