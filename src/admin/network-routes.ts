import { Router } from 'express'
import { refusedOr } from './refused.ts'

/**
 * `DELETE /networks/ID`: removes a network that this host's engine does not have, by its id or the
 * beginning of it. 200 with its id, else 409 with `error` and `code`, and nothing is changed.
 */
export function networkRoutes(dropNetwork: (id: string) => Promise<string>): Router {
  const router = Router()
  router.delete('/networks/:id', (request, response, next) => {
    dropNetwork(request.params.id).then(
      (removed) => response.json({ removed }),
      refusedOr(response, next),
    )
  })
  return router
}
