/**
 * Networks of this host and of the others: one list on all hosts. Compares the claims of all
 * members with what the engine has (plan.ts says what follows from it), at the start, on each event
 * of the engine, on each change of a claim and in each audit, and carries that out through the
 * engine's API.
 *
 * It creates and deletes networks of our driver with our address management and nothing else; never
 * in a call of the engine, and nothing while the engine's API is away.
 */
import type { Clock } from '../base/clock.ts'
import { attempt, isBug, messageOf } from '../base/errors.ts'
import type { Finding, RoomFindings } from '../base/findings.ts'
import type { Logger } from '../base/logger.ts'
import { Debounce, Every } from '../base/timers.ts'
import { type NetworkClaim, effectiveClaims, parseGeneration, copyLabel } from './claim.ts'
import { containersOf, copyOf, specOf } from './engine-spec.ts'
import { OwnClaims } from './own-claims.ts'
import { type Action, type OwnNetwork, agreedOf, planNetworks } from './plan.ts'
import { Removals } from './removals.ts'
import type {
  DriverNetwork,
  EngineContainer,
  EngineNetwork,
  NetworksCluster,
  NetworksEngine,
  NetworksStore,
} from './ports.ts'

/** Events and records that come together are compared once. */
const debounceMs = 20
/** A network that was put back is a finding for this long. */
const putBackShownMs = 600_000
/** Members that publish what those that left had published, the first by name. */
const maxCaretakers = 3

interface ReplicatorParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly findings: RoomFindings
  readonly store: NetworksStore
  readonly engine: NetworksEngine
  readonly cluster: NetworksCluster
  readonly networks: () => readonly DriverNetwork[]
  readonly auditIntervalMs: number
}

/** For `/status`: the cluster's records of networks that are, and of networks that were removed. */
export interface NetworksStatus {
  readonly claims: number
  readonly removals: number
}

export class Replicator {
  readonly #parts: ReplicatorParts
  readonly #own: OwnClaims
  readonly #pass: Debounce
  readonly #audit: Every
  readonly #removals: Removals
  /** Names by the id of the networks that the engine had. */
  #names = new Map<string, string>()
  /** Ids of the networks that are as the claim of their name says: their removal is one of it. */
  #agreed = new Set<string>()
  /** Ids that we have the engine delete. */
  readonly #deleting = new Set<string>()
  #failures: Finding[] = []
  #isConnected = false

  constructor(parts: ReplicatorParts) {
    const { clock, logger, auditIntervalMs } = parts
    this.#parts = parts
    this.#own = new OwnClaims(parts.store)
    const warn = (message: string): void => logger.warn(`comparing networks: ${message}`)
    this.#pass = new Debounce({
      clock,
      delayMs: debounceMs,
      run: () => this.#compare(),
      warn,
    })
    this.#audit = new Every({ clock, intervalMs: auditIntervalMs, run: () => this.#pass.trigger() })
    this.#removals = new Removals(clock, () => this.#pass.trigger())
  }

  /** Publishes again what this member had published; before the cluster is joined. */
  start(): void {
    for (const claim of this.#own.all()) this.#parts.cluster.put(claim)
    this.#parts.engine.listen({
      connected: () => {
        this.#isConnected = true
        // What went meanwhile was removed while nobody looked: it comes back.
        this.#names = new Map()
        this.#pass.trigger()
      },
      event: ({ Type, Action: action, Actor }) => {
        if (Type === 'network') this.#onEvent(action, Actor.ID)
      },
    })
    this.#audit.start()
  }

  async stop(): Promise<void> {
    this.#audit.stop()
    this.#removals.stop()
    this.#pass.stop()
    await this.#pass.idle()
  }

  /** Claims of other members changed, or who is live. */
  changed(): void {
    if (this.#isConnected) this.#pass.trigger()
  }

  /** The engine's name of a network; null while it is not known. */
  nameOf(networkId: string): string | null {
    return this.#names.get(networkId) ?? null
  }

  /** For `/status`. */
  status(): NetworksStatus {
    const all = [...this.#parts.cluster.claims()]
    const claims = all.filter(({ spec }) => spec !== null).length
    return { claims, removals: all.length - claims }
  }

  #onEvent(action: string, id: string): void {
    if (action === 'prune') this.#removals.pruned()
    else if (action === 'destroy') {
      const name = this.#names.get(id)
      this.#names.delete(id)
      if (name !== undefined) this.#onDestroyed(id, name)
    } else if (action !== 'create') return
    this.#pass.trigger()
  }

  #onDestroyed(id: string, name: string): void {
    if (!this.#deleting.delete(id) && this.#agreed.has(id)) this.#removals.removed(name)
  }

  async #compare(): Promise<void> {
    const { cluster, engine, findings } = this.#parts
    if (!cluster.isSynced()) return
    const listed = await engine.networks()
    const containers = await engine.containers()
    this.#note(listed)
    await this.#own.keepOnly(new Set(this.#names.keys()))
    const claims = effectiveClaims(cluster.claims())
    const actions = this.#plan(listed, containers, claims)
    this.#failures = []
    for (const action of actions) await this.#do(action)
    const found = actions.flatMap((action) => (action.kind === 'finding' ? [action.finding] : []))
    const clashes = found.map(({ name, ...rest }) => ({ subject: `network ${name}`, ...rest }))
    findings.replace('networks', [...clashes, ...this.#failures])
    this.#forgetSettled(claims)
    await this.#withdrawOld(claims)
  }

  /** Notes which networks the engine has, and which went since. */
  #note(listed: readonly EngineNetwork[]): void {
    const before = this.#names
    this.#names = new Map(listed.map(({ Id, Name }) => [Id, Name]))
    for (const [id, name] of before) if (!this.#names.has(id)) this.#onDestroyed(id, name)
  }

  #plan(
    listed: readonly EngineNetwork[],
    containers: readonly EngineContainer[],
    claims: ReadonlyMap<string, NetworkClaim>,
  ): Action[] {
    const { cluster, networks } = this.#parts
    const driver = new Map(networks().map((network) => [network.networkId, network]))
    const live = cluster.liveMembers().toSorted()
    const present = listed.map((network) => this.#ownOf(network, driver, containers))
    const actions = planNetworks({
      self: cluster.self,
      claims,
      networks: present,
      destroyed: this.#removals.byName,
      users: (name, overlayId) => this.#users(name, overlayId, containers),
      isCaretaker: live.indexOf(cluster.self) < maxCaretakers,
    })
    this.#agreed = new Set(agreedOf(present, claims, actions))
    return actions
  }

  /** Forgets removals that are done with. */
  #forgetSettled(claims: ReadonlyMap<string, NetworkClaim>): void {
    const present = new Set(this.#names.values())
    for (const [name, removal] of this.#removals.byName)
      if (removal !== 'recent' && (present.has(name) || claims.get(name)?.spec == null))
        this.#removals.forget(name)
  }

  #ownOf(
    network: EngineNetwork,
    driver: ReadonlyMap<string, DriverNetwork>,
    containers: readonly EngineContainer[],
  ): OwnNetwork {
    const { Id: id, Name: name } = network
    const own = driver.get(id)
    const label = parseGeneration(network.Labels[copyLabel])
    return {
      id,
      name,
      spec: specOf(network, own),
      generation: label ?? this.#own.generation(id) ?? null,
      isCopy: label !== null,
      isAutomatic: own?.isAutomatic ?? false,
      containers: containersOf(network, containers),
    }
  }

  #users(name: string, overlayId: string, containers: readonly EngineContainer[]): string[] {
    const { cluster } = this.#parts
    const isUsedHere = containers.some(({ NetworkSettings }) => name in NetworkSettings.Networks)
    return [...cluster.usersOf(overlayId), ...(isUsedHere ? [`${cluster.self} (this host)`] : [])]
  }

  /** A claim of ours that does not hold any more need not be published. */
  async #withdrawOld(claims: ReadonlyMap<string, NetworkClaim>): Promise<void> {
    const { cluster } = this.#parts
    for (const { name, generation } of this.#own.all()) {
      const holding = claims.get(name)?.generation
      if (holding === undefined || holding.counter <= generation.counter) continue
      await this.#own.drop(name)
      cluster.withdraw(name)
    }
  }

  async #do(action: Action): Promise<void> {
    if (action.kind === 'publish') await this.#publish(action)
    else if (action.kind === 'adopt')
      await this.#own.setGeneration(action.networkId, action.claim.generation)
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
      this.#failures.push({ code: 'NETWORK_CLASH', subject: `network ${name}`, text, remedy })
      return
    }
    for (const old of await this.#own.put(claim, networkId)) {
      await this.#own.drop(old)
      cluster.withdraw(old)
    }
    this.#removals.forget(name)
    logger.info(spec === null ? 'network removed on all hosts' : 'network for all hosts', { name })
  }

  async #create({ claim, users }: Extract<Action, { kind: 'create' }>): Promise<void> {
    const { engine, findings, logger } = this.#parts
    const { name, spec } = claim
    const removal = this.#removals.byName.get(name)
    if (removal !== undefined && !this.#removals.mayPutBack(name)) return
    const answer = await engine.createNetwork(copyOf(claim, spec!))
    // 409: another network has the name since; the next comparison has it.
    if ('message' in answer && answer.status !== 409) {
      const text = `network "${name}" cannot be created on this host: ${answer.message}`
      const remedy = 'resolve what the message says; it is tried again at each audit'
      this.#failures.push({ code: 'NETWORK_CLASH', subject: `network ${name}`, text, remedy })
      return
    }
    if ('id' in answer) this.#names.set(answer.id, name)
    this.#removals.forget(name)
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

  async #delete({ name, networkId }: Extract<Action, { kind: 'delete' }>): Promise<void> {
    const { engine, logger } = this.#parts
    this.#deleting.add(networkId)
    const refused = await attempt(
      () => engine.removeNetwork(networkId),
      (message) => ({ status: 0, message }),
    )
    if (refused === null) return logger.info('network deleted as on other hosts', { name })
    this.#deleting.delete(networkId)
    logger.info('network not deleted', { name, reason: refused.message })
  }
}
