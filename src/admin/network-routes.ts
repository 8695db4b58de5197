import { Router } from 'express'
import { refusedOr } from './refused.ts'

const badRequest = 400

/**
 * `DELETE /networks/ID`: removes a network that this host's engine does not have, by its id or the
 * beginning of it. 200 with its id, else 409 with `error` and `code`, and nothing is changed.
 *
 * `POST /networks/NETWORK/subnets?subnet=PREFIX`: adds a subnet to a network of this host and of
 * all others, by its name, overlay or id. 200 with both, also when it has that subnet; else 409.
 */
export function networkRoutes({
  dropNetwork,
  addSubnet,
}: {
  readonly dropNetwork: (id: string) => Promise<string>
  readonly addSubnet: (network: string, subnet: string) => Promise<void>
}): Router {
  const router = Router()
  router.delete('/networks/:id', (request, response, next) => {
    dropNetwork(request.params.id).then(
      (removed) => response.json({ removed }),
      refusedOr(response, next),
    )
  })
  router.post('/networks/:network/subnets', (request, response, next) => {
    const { network } = request.params
    const { subnet } = request.query
    if (typeof subnet !== 'string')
      return void response
        .status(badRequest)
        .json({ error: 'subnet is one prefix, as 10.2.0.0/16', code: 'BAD_REQUEST' })
    const added = (): unknown => response.json({ network, subnet })
    addSubnet(network, subnet).then(added, refusedOr(response, next))
  })
  return router
}
