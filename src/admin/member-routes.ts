import { Router } from 'express'
import { refusedOr } from './refused.ts'

/**
 * `DELETE /members/NAME`, or `NAME,NAME`: forgets members that are gone for good. 200 with their
 * names when it is agreed, else 409 with `error` and `code`, and nothing is changed.
 */
export function memberRoutes(forget: (members: readonly string[]) => Promise<void>): Router {
  const router = Router()
  router.delete('/members/:names', (request, response, next) => {
    const names = request.params.names.split(',')
    forget(names).then(() => response.json({ forgotten: names }), refusedOr(response, next))
  })
  return router
}
