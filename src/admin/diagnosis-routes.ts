import { Router } from 'express'
import { refusedOr } from './refused.ts'
import { answerJson } from './status-routes.ts'

/** What is asked when something is wrong. All answers are plain JSON. */
export interface DiagnosisSource {
  /** Probes a member on all ways. Fails with MEMBER_UNKNOWN. */
  ping(member: string): Promise<unknown>
  /** What members have for some addresses of an overlay, by member. */
  snapshots(members: readonly string[], overlayId: string, ips: readonly string[]): Promise<unknown>
  /** What of each live member's host limits or breaks overlays, by member. */
  hosts(): Promise<unknown>
}

const badRequest = 400

/**
 * `GET /ping/NAME`: probes a member by gossip and through tunnels; 404 when there is none.
 *
 * `GET /snapshots?overlay=ID&member=NAME&ip=ADDRESS`: what the kernels of one or two members have
 * for some addresses; `member` and `ip` may be repeated.
 *
 * `GET /hosts`: limits, features and clocks of all live members' hosts.
 */
export function diagnosisRoutes(source: DiagnosisSource): Router {
  const router = Router()
  router.get('/ping/:name', (request, response, next) => {
    const answer = (report: unknown) => answerJson(response, report)
    source.ping(request.params.name).then(answer, refusedOr(response, next))
  })
  router.get('/snapshots', (request, response, next) => {
    const { overlay, member, ip } = request.query
    const [members, ips] = [texts(member), texts(ip)]
    if (typeof overlay !== 'string' || members.length < 1 || members.length > 2)
      return void response
        .status(badRequest)
        .json({ error: 'overlay, and one or two members', code: 'BAD_REQUEST' })
    source.snapshots(members, overlay, ips).then((all) => answerJson(response, all), next)
  })
  router.get('/hosts', (_request, response, next) => {
    source.hosts().then((all) => answerJson(response, all), next)
  })
  return router
}

function texts(value: unknown): string[] {
  const all = Array.isArray(value) ? value : [value]
  return [...new Set(all.filter((item) => typeof item === 'string'))]
}
