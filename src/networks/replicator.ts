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
import type { RoomFindings } from '../base/findings.ts'
import type { Logger } from '../base/logger.ts'
import { type Cidr, cidrsOverlap } from '../net/cidr.ts'
import { Debounce, Every } from '../base/timers.ts'
import {
  type Generation,
  type NetworkClaim,
  type NetworkSpec,
  effectiveClaims,
  parseGeneration,
  copyLabel,
} from './claim.ts'
import { containersOf, specOf, subnetsOf } from './engine-spec.ts'
import { Actions } from './actions.ts'
import { HostPrefixes } from './host-prefixes.ts'
import { OwnClaims } from './own-claims.ts'
import { type Action, type OwnNetwork, agreedOf, planNetworks } from './plan.ts'
import { Removals } from './removals.ts'
import type {
  CopyNetwork,
  DriverNetwork,
  EngineContainer,
  EngineNetwork,
  NetworksCluster,
  NetworksEngine,
  NetworksStore,
  PrefixUser,
} from './ports.ts'

/** Events and records that come together are compared once. */
const debounceMs = 20
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
  readonly copyNetwork: CopyNetwork
  /** The prefixes that this host routes. */
  readonly hostRoutes: () => Promise<readonly Cidr[]>
  readonly auditIntervalMs: number
}

/** For `/status`: records of networks that are, of those that were removed, of hosts' prefixes. */
export interface NetworksStatus {
  readonly claims: number
  readonly removals: number
  readonly prefixes: number
}

export class Replicator {
  readonly #parts: ReplicatorParts
  readonly #own: OwnClaims
  readonly #pass: Debounce
  readonly #audit: Every
  readonly #removals: Removals
  readonly #prefixes: HostPrefixes
  /** Names by the id of the networks that the engine had. */
  #names = new Map<string, string>()
  /** The networks that are as the claim of their name says: their removal is one of that claim. */
  #agreed = new Map<string, Generation>()
  readonly #actions: Actions
  #isConnected = false

  constructor(parts: ReplicatorParts) {
    const { clock, logger, auditIntervalMs } = parts
    this.#parts = parts
    this.#own = new OwnClaims(parts.store)
    this.#prefixes = new HostPrefixes(parts.cluster, parts.hostRoutes)
    const warn = (message: string): void => logger.warn(`comparing networks: ${message}`)
    this.#pass = new Debounce({
      clock,
      delayMs: debounceMs,
      run: () => this.#compare(),
      warn,
    })
    this.#audit = new Every({ clock, intervalMs: auditIntervalMs, run: () => this.#pass.trigger() })
    const removals = (this.#removals = new Removals(clock, () => this.#pass.trigger()))
    const created = (id: string, name: string) => this.#names.set(id, name)
    this.#actions = new Actions({ ...parts, own: this.#own, removals, created })
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
    const prefixes = [...this.#parts.cluster.prefixes()].length
    return { claims, removals: all.length - claims, prefixes }
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
    const generation = this.#agreed.get(id)
    if (!this.#actions.deleting.delete(id) && generation !== undefined)
      this.#removals.removed(name, generation)
  }

  async #compare(): Promise<void> {
    const { cluster, engine, findings, networks } = this.#parts
    if (!cluster.isSynced()) return
    const listed = await engine.networks()
    const containers = await engine.containers()
    this.#note(listed)
    await this.#own.keepOnly(new Set(this.#names.keys()))
    const claims = effectiveClaims(cluster.claims())
    this.#removals.keepOnly(claims)
    const driver = new Map(networks().map((network) => [network.networkId, network]))
    await this.#prefixes.publish(listed, driver)
    const actions = this.#plan(listed, driver, containers, claims)
    this.#actions.failures.length = 0
    for (const action of actions) await this.#actions.do(action)
    const found = actions.flatMap((action) => (action.kind === 'finding' ? [action.finding] : []))
    const clashes = found.map(({ name, ...rest }) => ({ subject: `network ${name}`, ...rest }))
    findings.replace('networks', [...clashes, ...this.#actions.failures])
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
    driver: ReadonlyMap<string, DriverNetwork>,
    containers: readonly EngineContainer[],
    claims: ReadonlyMap<string, NetworkClaim>,
  ): Action[] {
    const { cluster } = this.#parts
    const live = cluster.liveMembers().toSorted()
    const present = listed.map((network) => this.#ownOf(network, driver, containers))
    const actions = planNetworks({
      self: cluster.self,
      claims,
      networks: present,
      destroyed: this.#removals.byName,
      users: (name, overlayId) => this.#users(name, overlayId, containers),
      prefixUsers: (spec) => this.#prefixUsers(spec),
      isCaretaker: live.indexOf(cluster.self) < maxCaretakers,
    })
    this.#agreed = new Map(agreedOf(present, claims, actions))
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

  /** With our IPAM other networks of a host do not matter. */
  #prefixUsers(spec: NetworkSpec): PrefixUser[] {
    if (spec.engineIpam !== true) return []
    const subnets = subnetsOf(spec)
    return [...this.#parts.cluster.prefixes()].filter(({ prefix }) =>
      subnets.some((subnet) => cidrsOverlap(subnet, prefix)),
    )
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
}
