import { Router } from 'express'
import { refusedOr } from './refused.ts'

/** What an operator may ask for. */
export interface RecoverOptions {
  /** Also while a majority of the voters answers. */
  readonly force: boolean
}

/** What an operator may ask for. */
export interface EvictOptions {
  /** Also members that can be reached. */
  readonly force: boolean
}

/**
 * `DELETE /members/NAME`, or `NAME,NAME`: evicts members that are gone for good. 200 with their
 * names when it is agreed; 404 when the cluster does not have one of them; 409 when one can be
 * reached and there is no `?force=true`, or no majority answers. With `error` and `code`; nothing
 * is changed then.
 */
export function memberRoutes(
  evict: (members: readonly string[], options: EvictOptions) => Promise<void>,
): Router {
  const router = Router()
  router.delete('/members/:names', (request, response, next) => {
    const names = request.params.names.split(',')
    const force = request.query['force'] === 'true'
    evict(names, { force }).then(() => response.json({ evicted: names }), refusedOr(response, next))
  })
  return router
}

/**
 * `POST /recover`: a majority of the voters is gone for good; a new cluster is made out of what
 * this host's server has, with it as the only voter. 200 with the new cluster's id; 409 when this
 * host has no server, or a majority answers and there is no `?force=true`.
 */
export function recoveryRoutes(recover: (options: RecoverOptions) => Promise<string>): Router {
  const router = Router()
  router.post('/recover', (request, response, next) => {
    const force = request.query['force'] === 'true'
    recover({ force }).then((cluster) => response.json({ cluster }), refusedOr(response, next))
  })
  return router
}
