/**
 * Hosts with an engine in memory and the replication of networks, in virtual time: claims travel
 * with delays, are cut off, and a host may be down.
 */
import { type Clock, sleep } from '../../src/base/clock.ts'
import { Findings } from '../../src/base/findings.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { type Random, below } from '../../src/base/random.ts'
import { refusal } from '../../src/base/errors.ts'
import { type Cidr, parseCidr } from '../../src/net/cidr.ts'
import { enginePoolKey } from '../../src/net/pool-key.ts'
import { partPrefixes } from '../../src/net/pool-parts.ts'
import { type NetworkClaim, copyLabel } from '../../src/networks/claim.ts'
import type { EngineContainer, EngineNetwork, NetworksEngine } from '../../src/networks/ports.ts'
import { Replicator } from '../../src/networks/replicator.ts'
import { AgreedMachine } from './agreed-machine.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'

type Spec = Parameters<NetworksEngine['createNetwork']>[0]
type Listener = Parameters<NetworksEngine['listen']>[0]

interface SimulatedContainer {
  readonly name: string
  readonly network: string
  networkId: string
  isRunning: boolean
}

/** An engine's networks and containers, and what users do with them. */
export class SimulatedEngine implements NetworksEngine {
  readonly all = new Map<string, EngineNetwork>()
  readonly containersByName = new Map<string, SimulatedContainer>()
  /** Networks that were deleted through the API although a container referred to them. */
  readonly violations: string[] = []
  /** Whether two networks may have one name, as before API 1.44. */
  allowsDuplicates = false
  isUp = true
  readonly #clock: Clock
  readonly #random: Random
  #listener: Listener | null = null
  #ids = 0

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  listen(listener: Listener): void {
    this.#listener = listener
    if (this.isUp) listener.connected()
  }

  /** The listener's process ended. */
  unlisten(): void {
    this.#listener = null
  }

  async networks(): Promise<EngineNetwork[]> {
    await this.#work()
    return [...this.all.values()]
  }

  async containers(): Promise<EngineContainer[]> {
    await this.#work()
    return Array.from(this.containersByName.values(), ({ name, network, networkId, isRunning }) => {
      const Networks = { [network]: { NetworkID: networkId } }
      const State = isRunning ? 'running' : 'exited'
      return { Names: [`/${name}`], State, NetworkSettings: { Networks } }
    })
  }

  async createNetwork(spec: Spec) {
    const isTaken = this.named(spec.Name).length > 0
    await this.#work()
    if (this.allowsDuplicates ? isTaken : this.named(spec.Name).length > 0)
      return { status: 409, message: `network with name ${spec.Name} already exists` }
    return { id: this.#create(spec) }
  }

  async removeNetwork(id: string) {
    const users = [...this.containersByName.values()].filter(({ networkId }) => networkId === id)
    if (users.some(({ isRunning }) => isRunning))
      return { status: 403, message: `network ${id} has active endpoints` }
    if (users.length > 0) this.violations.push(`${this.all.get(id)?.Name} of ${users[0]!.name}`)
    this.#remove(id)
    await this.#work()
    return null
  }

  named(name: string): EngineNetwork[] {
    return [...this.all.values()].filter(({ Name }) => Name === name)
  }

  /** `docker network create -d ts-overlay --ipam-driver ts-overlay --subnet SUBNET NAME`. */
  create(name: string, subnet: string, labels: Record<string, string> = {}, ipam = 'ts-overlay') {
    if (!this.isUp || this.named(name).length > 0) return
    this.#create({
      Name: name,
      Driver: 'ts-overlay',
      Internal: false,
      Attachable: false,
      EnableIPv4: true,
      EnableIPv6: false,
      Options: {},
      Labels: labels,
      IPAM: {
        Driver: ipam,
        Options: {},
        Config: [{ Subnet: subnet, IPRange: '', Gateway: '', AuxiliaryAddresses: {} }],
      },
    })
  }

  /** `docker network rm`; whether the engine did it. */
  remove(name: string): boolean {
    const [network] = this.named(name)
    if (!this.isUp || network === undefined || this.#isActive(network.Id)) return false
    this.#remove(network.Id)
    return true
  }

  prune(): void {
    if (!this.isUp) return
    for (const { Id } of this.all.values()) if (!this.#isActive(Id)) this.#remove(Id)
    this.#tell('prune', '')
  }

  /** `docker run -d`; whether there was such a network. */
  run(container: string, network: string): boolean {
    const [found, ...more] = this.named(network)
    if (!this.isUp || found === undefined || more.length > 0) return false
    const isRunning = true
    const networkId = found.Id
    this.containersByName.set(container, { name: container, network, networkId, isRunning })
    return true
  }

  stop(container: string): void {
    const found = this.containersByName.get(container)
    if (found !== undefined) found.isRunning = false
  }

  removeContainer(container: string): void {
    this.containersByName.delete(container)
  }

  /** The engine is killed: its containers run on, events are lost. */
  down(): void {
    this.isUp = false
  }

  up(): void {
    this.isUp = true
    this.#listener?.connected()
  }

  #isActive(id: string): boolean {
    return [...this.containersByName.values()].some(
      ({ networkId, isRunning }) => networkId === id && isRunning,
    )
  }

  #create(spec: Spec): string {
    const Id = `n${this.#ids++}`
    this.all.set(Id, { ...spec, Id, Scope: 'local', Ingress: false, ConfigOnly: false })
    this.#tell('create', Id)
    return Id
  }

  #remove(id: string): void {
    if (this.all.delete(id)) this.#tell('destroy', id)
  }

  /** Events come a moment later, in their order. */
  #tell(action: string, id: string): void {
    this.#clock.setTimeout(() => {
      const event = { Type: 'network', Action: action, Actor: { ID: id } }
      if (this.isUp) this.#listener?.event(event)
    }, 1)
  }

  async #work(): Promise<void> {
    await sleep(this.#clock, below(this.#random, 20))
    if (!this.isUp) throw Object.assign(new Error('the engine is away'), { code: 'ECONNREFUSED' })
  }
}

/** One host, whose plugin may restart. */
export class NetworkHost {
  readonly engine: SimulatedEngine
  readonly name: string
  /** What it has heard of each member's claims, its own too. */
  readonly heard = new Map<string, Map<string, NetworkClaim>>()
  readonly own = new Map<string, NetworkClaim>()
  /** What it publishes of its host, and what that routes. */
  readonly prefixes = new Set<Cidr>()
  routes: Cidr[] = []
  isUp = true
  findings: Findings
  #replicator: Replicator | null = null
  #life = { isOver: false }
  readonly #hosts: NetworkHosts
  readonly #store = new MemoryStore()

  constructor(hosts: NetworkHosts, name: string) {
    this.#hosts = hosts
    this.name = name
    this.engine = new SimulatedEngine(hosts.clock, hosts.random)
    this.findings = new Findings(hosts.clock, silentLogger)
    this.start()
  }

  start(): void {
    const { clock } = this.#hosts
    this.isUp = true
    this.findings = new Findings(clock, silentLogger)
    this.own.clear()
    const life = (this.#life = { isOver: false })
    this.#replicator = new Replicator({
      clock,
      logger: silentLogger,
      findings: this.findings.room('networks'),
      store: this.#store,
      engine: mortal(this.engine, life),
      cluster: {
        self: this.name,
        isSynced: () => true,
        claims: () => [...this.heard.values()].flatMap((claims) => [...claims.values()]),
        put: (claim) => {
          if (life.isOver) return
          this.own.set(claim.name, claim)
          this.#hosts.spread(this)
        },
        withdraw: (name) => {
          if (life.isOver) return
          this.own.delete(name)
          this.#hosts.spread(this)
        },
        liveMembers: () => this.#hosts.seenBy(this).map(({ name }) => name),
        usersOf: (overlayId) => this.#hosts.usersOf(overlayId, this),
        prefixes: () => this.#hosts.prefixesSeenBy(this),
        putPrefix: (prefix) => void this.prefixes.add(prefix),
        withdrawPrefix: (prefix) => void this.prefixes.delete(prefix),
      },
      hostRoutes: async () => this.routes,
      copyNetwork: async (pools, create) => create(pools.flatMap((pool) => this.#partsOf(pool))),
      networks: () =>
        Array.from(this.engine.all.values(), ({ Id, Options, IPAM }) => {
          const subnet = IPAM.Config[0]!.Subnet
          const overlayId = Options['overlay'] ?? subnet
          const isOurIpam = IPAM.Driver === 'ts-overlay'
          const gateways = [`${subnet.replace(/0\/\d+$/, '1')}/24`]
          const engines = isOurIpam ? null : { pools: [parseCidr(subnet)!], gateways }
          return { networkId: Id, overlayId, isAutomatic: isAutomatic(subnet), isOurIpam, engines }
        }),
      auditIntervalMs: 30_000,
    })
    this.#replicator.start()
    this.#hosts.spread(this)
  }

  /** One part of the upper half. */
  #partsOf(pool: Cidr): Cidr[] {
    const { machine } = this.#hosts
    machine.run(this.name, 'renew')
    const key = enginePoolKey(pool)
    const outcome = machine.run(this.name, 'holdParts', { pool: key, lower: false })
    if ('refused' in outcome) throw refusal('POOL_IN_USE', outcome.refused.code)
    const parts = machine.view(this.name, key).blocks.map(([part]) => part)
    return partPrefixes(pool, parts)
  }

  /** The plugin ends as in a crash: what it was about to do does not happen. */
  crash(): void {
    this.isUp = false
    this.#life.isOver = true
    this.engine.unlisten()
    void this.#replicator?.stop()
  }

  hear(from: string, claims: ReadonlyMap<string, NetworkClaim>): void {
    this.heard.set(from, new Map(claims))
    if (this.isUp) this.#replicator?.changed()
  }

  async stop(): Promise<void> {
    await this.#replicator?.stop()
    this.findings.stop()
  }
}

export class NetworkHosts {
  readonly clock: Clock
  readonly random: Random
  readonly hosts: NetworkHost[] = []
  /** Hosts that the others do not reach. */
  readonly cutOff = new Set<NetworkHost>()
  readonly machine = new AgreedMachine()
  #subnets = 0

  constructor(clock: Clock, random: Random, count: number) {
    this.clock = clock
    this.random = random
    for (let i = 0; i < count; i++) this.add()
  }

  add(): NetworkHost {
    const host = new NetworkHost(this, `host${this.hosts.length + 1}`)
    this.hosts.push(host)
    for (const other of this.hosts) this.spread(other)
    return host
  }

  /** A subnet of our choice, which no two networks have. */
  automatic(): string {
    const n = this.#subnets++
    return `10.${128 + (n >> 8)}.${n & 255}.0/24`
  }

  reaches(a: NetworkHost, b: NetworkHost): boolean {
    return a === b || (a.isUp && b.isUp && this.cutOff.has(a) === this.cutOff.has(b))
  }

  seenBy(host: NetworkHost): NetworkHost[] {
    return this.hosts.filter((other) => this.reaches(host, other))
  }

  *prefixesSeenBy(host: NetworkHost) {
    for (const { name: member, prefixes } of this.seenBy(host))
      for (const prefix of prefixes) yield { member, prefix }
  }

  /** A host's claims go to all that it reaches, each after a while of its own. */
  spread(from: NetworkHost): void {
    from.hear(from.name, from.own)
    for (const to of this.hosts) {
      if (to === from) continue
      this.clock.setTimeout(
        () => {
          if (this.reaches(from, to)) to.hear(from.name, from.own)
        },
        below(this.random, 400),
      )
    }
  }

  heal(): void {
    this.cutOff.clear()
    for (const host of this.hosts) this.spread(host)
  }

  usersOf(overlayId: string, asking: NetworkHost): string[] {
    const uses = ({ engine }: NetworkHost): boolean =>
      [...engine.containersByName.values()].some(({ networkId, isRunning }) => {
        const subnet = engine.all.get(networkId)?.IPAM.Config[0]?.Subnet
        return isRunning && subnet === overlayId
      })
    return this.seenBy(asking).flatMap((host) => (host !== asking && uses(host) ? [host.name] : []))
  }
}

/** The engine for a plugin that may crash between two calls. */
function mortal(engine: SimulatedEngine, life: { readonly isOver: boolean }): NetworksEngine {
  const alive = (): void => {
    if (life.isOver) throw Object.assign(new Error('this plugin is dead'), { code: 'EPIPE' })
  }
  const call = <A extends unknown[], T>(work: (...args: A) => Promise<T>) => {
    return async (...args: A): Promise<T> => {
      alive()
      const result = await work(...args)
      alive()
      return result
    }
  }
  return {
    networks: call(() => engine.networks()),
    containers: call(() => engine.containers()),
    createNetwork: call((spec: Spec) => engine.createNetwork(spec)),
    removeNetwork: call((id: string) => engine.removeNetwork(id)),
    listen: (listener) => engine.listen(listener),
  }
}

function isAutomatic(subnet: string): boolean {
  return !subnet.startsWith('10.0.')
}

/** A network of an engine, for comparison: all but what differs from host to host. */
export function shape({ Name, IPAM, Labels, Internal }: EngineNetwork): string {
  const { [copyLabel]: _label, ...labels } = Labels
  return JSON.stringify([Name, IPAM.Config[0]!.Subnet, labels, Internal])
}
