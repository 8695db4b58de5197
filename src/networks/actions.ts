import { attempt, isBug, messageOf } from '../base/errors.ts'
import type { Finding, RoomFindings } from '../base/findings.ts'
import type { Logger } from '../base/logger.ts'
import type { NetworkClaim, NetworkSpec } from './claim.ts'
import { copyOf, subnetsOf } from './engine-spec.ts'
import type { OwnClaims } from './own-claims.ts'
import type { Action } from './plan.ts'
import type { CopyNetwork, NetworksCluster, NetworksEngine } from './ports.ts'
import type { Removals } from './removals.ts'

/** A network that was put back is a finding for this long. */
const putBackShownMs = 600_000

interface ActionsParts {
  readonly logger: Logger
  readonly findings: RoomFindings
  readonly engine: NetworksEngine
  readonly cluster: NetworksCluster
  readonly copyNetwork: CopyNetwork
  readonly own: OwnClaims
  readonly removals: Removals
  /** The engine has a network more. */
  readonly created: (id: string, name: string) => void
}

/** Carries out what follows from a comparison (plan.ts), in the cluster and in the engine. */
export class Actions {
  readonly #parts: ActionsParts
  /** Ids that we have the engine delete. */
  readonly deleting = new Set<string>()
  /** What went wrong since the last comparison. */
  readonly failures: Finding[] = []

  constructor(parts: ActionsParts) {
    this.#parts = parts
  }

  async do(action: Action): Promise<void> {
    if (action.kind === 'publish') await this.#publish(action)
    else if (action.kind === 'adopt')
      await this.#parts.own.setGeneration(action.networkId, action.claim.generation)
    else if (action.kind === 'create') await this.#create(action)
    else if (action.kind === 'delete') await this.#delete(action)
  }

  async #publish({ claim, networkId }: Extract<Action, { kind: 'publish' }>): Promise<void> {
    const { cluster, logger } = this.#parts
    const { name, spec } = claim
    try {
      cluster.put(claim)
    } catch (error) {
      if (isBug(error)) throw error
      const text = `network "${name}" is on this host alone: ${messageOf(error)}`
      const remedy = 'create it with fewer or shorter labels and options'
      this.failures.push({ code: 'NETWORK_CLASH', subject: `network ${name}`, text, remedy })
      return
    }
    for (const old of await this.#parts.own.put(claim, networkId)) {
      await this.#parts.own.drop(old)
      cluster.withdraw(old)
    }
    this.#parts.removals.forget(name)
    logger.info(spec === null ? 'network removed on all hosts' : 'network for all hosts', { name })
  }

  async #create({ claim, users }: Extract<Action, { kind: 'create' }>): Promise<void> {
    const { findings, logger } = this.#parts
    const { name, spec } = claim
    const removal = this.#parts.removals.byName.get(name)
    if (removal !== undefined && !this.#parts.removals.mayPutBack(name)) return
    const answer = await this.#askFor(claim, spec!)
    // 409: another network has the name since; the next comparison has it.
    if ('message' in answer && answer.status !== 409) {
      const text = `network "${name}" cannot be created on this host: ${answer.message}`
      const remedy = 'resolve what the message says; it is tried again at each audit'
      this.failures.push({ code: 'NETWORK_CLASH', subject: `network ${name}`, text, remedy })
      return
    }
    if ('id' in answer) this.#parts.created(answer.id, name)
    this.#parts.removals.forget(name)
    if (removal === undefined) return logger.info('network created as on other hosts', { name })
    const why =
      removal === 'pruned' ? 'a prune removes it on one host only' : `in use on ${users.join(', ')}`
    const text = `network "${name}" was removed on this host and is back: ${why}`
    const remedy = 'remove it when no container of any host is on it'
    findings.raise(
      { code: 'NETWORK_PUT_BACK', subject: `network ${name}`, text, remedy },
      putBackShownMs,
    )
  }

  /** Has the engine create a copy; with its own IPAM, of what is this host's to hand out. */
  async #askFor(claim: NetworkClaim, spec: NetworkSpec) {
    const { copyNetwork, engine } = this.#parts
    if (spec.engineIpam !== true) return engine.createNetwork(copyOf(claim, spec, null))
    return attempt(
      () =>
        copyNetwork(subnetsOf(spec), (ranges) => engine.createNetwork(copyOf(claim, spec, ranges))),
      (message) => ({ status: 0, message }),
    )
  }

  async #delete({ name, networkId }: Extract<Action, { kind: 'delete' }>): Promise<void> {
    const { engine, logger } = this.#parts
    this.deleting.add(networkId)
    const refused = await attempt(
      () => engine.removeNetwork(networkId),
      (message) => ({ status: 0, message }),
    )
    if (refused === null) return logger.info('network deleted as on other hosts', { name })
    this.deleting.delete(networkId)
    logger.info('network not deleted', { name, reason: refused.message })
  }
}
