import type { StateMachine } from './ports.ts'
import { type Answer, type ClusterView, type Request, memberOf } from './requests.ts'
import { NotServed } from './server/pending.ts'
import type { ServerHost } from './server/server-host.ts'
import type { RaftServer } from './server/server.ts'
import type { Voters } from './voters/voters.ts'

interface ServiceParts {
  readonly host: ServerHost
  readonly machine: StateMachine
  readonly voters: Voters
  readonly view: () => ClusterView
}

/** Answers the requests of other members and of this one. */
export class Service {
  readonly #parts: ServiceParts

  constructor(parts: ServiceParts) {
    this.#parts = parts
  }

  async answer(from: string, request: Request): Promise<Answer> {
    const { server, clusterId } = this.#parts.host
    const elsewhere = (): Answer => ({ kind: 'view', view: this.#parts.view() })
    if (request.kind === 'view' || request.clusterId !== clusterId) return elsewhere()
    if (request.kind === 'enroll')
      return { kind: 'enrolled', server: await this.#parts.host.enroll() }
    if (server === null) return elsewhere()
    try {
      return await this.#serve(from, request, server)
    } catch (error) {
      if (!(error instanceof NotServed)) throw error
      return error.reason === 'busy' ? { kind: 'refused', reason: 'busy' } : elsewhere()
    }
  }

  async #serve(
    from: string,
    request: Exclude<Request, { kind: 'view' | 'enroll' }>,
    server: RaftServer,
  ): Promise<Answer> {
    if (request.kind === 'submit') {
      const outcome = await server.submit({ ...request, member: from })
      if (outcome.kind === 'applied') return this.#result(outcome.result)
      return { kind: 'refused', reason: outcome.kind }
    }
    await server.barrier()
    if (request.kind === 'query') return this.#result(this.#parts.machine.query(request.question))
    const isServer = server.has(request.server)
    if (request.kind === 'leave' && isServer && memberOf(request.server) === from) {
      await this.#parts.voters.remove(server, request.server)
      return { kind: 'refused', reason: 'busy' }
    }
    return this.#result(Uint8Array.of(isServer ? 1 : 0))
  }

  #result(bytes: Uint8Array): Answer {
    return { kind: 'result', bytes, view: this.#parts.view() }
  }
}
