import { Router } from 'express'
import { refusedOr } from './refused.ts'

/** What an operator may limit a new token to. */
export interface InviteOptions {
  /** How long it holds, ms; a day when absent. */
  readonly validMs?: number
  /** How many hosts may join with it; any number when absent. */
  readonly uses?: number
  /** All tokens that were made or chosen before admit nobody any more. */
  readonly rotate: boolean
}

const badRequest = 400

/**
 * `POST /invite`: makes a join token; 200 with the `line` that installs the plugin on another host.
 * `?seconds=`, `?uses=` and `?rotate=true` as InviteOptions has them. 409 without a majority.
 *
 * `POST /keys/rotate`: the gossip key is replaced, within some minutes; 200 with the present epoch.
 *
 * `POST /keys/rotate/wireguard`: this host's WireGuard key is replaced, within a minute; 200 with
 * the new public key, 409 while this host or another one replaces its key already.
 */
export function admissionRoutes(
  invite: (options: InviteOptions) => Promise<string>,
  rotateKeys: () => Promise<number>,
  rotateWireGuard: () => Promise<string>,
): Router {
  const router = Router()
  router.post('/invite', (request, response, next) => {
    const { seconds, uses, rotate } = request.query
    const limits = [seconds, uses].filter((value) => value !== undefined)
    if (!limits.every((value) => typeof value === 'string' && /^[1-9]\d{0,8}$/.test(value)))
      return void response
        .status(badRequest)
        .json({ error: 'seconds and uses are whole numbers', code: 'BAD_REQUEST' })
    const options = {
      ...(seconds === undefined ? {} : { validMs: Number(seconds) * 1000 }),
      ...(uses === undefined ? {} : { uses: Number(uses) }),
      rotate: rotate === 'true',
    }
    invite(options).then((line) => response.json({ line }), refusedOr(response, next))
  })
  router.post('/keys/rotate', (_, response, next) => {
    rotateKeys().then((epoch) => response.json({ epoch }), refusedOr(response, next))
  })
  router.post('/keys/rotate/wireguard', (_, response, next) => {
    const answer = (publicKey: string) => response.json({ publicKey })
    rotateWireGuard().then(answer, refusedOr(response, next))
  })
  return router
}
