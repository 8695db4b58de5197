/** An engine with a whole plugin: networks and containers of users, through its API and through the plugin's drivers. */
import { type Clock, sleep } from '../../../src/base/clock.ts'
import { OverlayError, failure, messageOf } from '../../../src/base/errors.ts'
import { below, type Random } from '../../../src/base/random.ts'
import type {
  Engine,
  EngineListener,
  EngineNetwork,
  EngineNetworkSpec,
  ListedContainer,
} from '../../../src/engine-client/engine.ts'
import {
  type Cidr,
  type IpInCidr,
  cidrContains,
  ipAt,
  parseCidr,
  parseIpInCidr,
} from '../../../src/net/cidr.ts'
import { type Ip, parseIp } from '../../../src/net/ip.ts'
import type { Plugin } from '../../../src/plugin.ts'

interface Network {
  readonly shown: EngineNetwork
  readonly subnet: Cidr
  readonly gateway: Ip
  /** Of our IPAM driver; null with the engine's own. */
  readonly poolId: string | null
}

interface Container {
  readonly network: Network
  readonly endpointId: string
  readonly ip: IpInCidr
  isRunning: boolean
}

/** Told of each address that a container has, and of each that it has no more. */
export interface AddressWatch {
  takes(host: string, network: string, subnet: Cidr, ip: Ip): void
  frees(host: string, subnet: Cidr, ip: Ip): void
}

/** What the engine's own IPAM takes subnets from, /24s. */
const ownPools = parseCidr('172.16.0.0/12')!

export class NetworkEngine implements Omit<Engine, 'container'> {
  readonly host: string
  readonly all = new Map<string, Network>()
  readonly running = new Map<string, Container>()
  /** Networks that were removed through the API although a container referred to them. */
  readonly violations: string[] = []
  readonly refusals: string[] = []
  isUp = false
  readonly #clock: Clock
  readonly #random: Random
  readonly #watch: AddressWatch
  #plugin: Plugin | null = null
  readonly #listeners = new Set<EngineListener>()
  /** Names that are being created: the engine locks them. */
  readonly #creating = new Set<string>()
  #ids = 0

  constructor(host: string, clock: Clock, random: Random, watch: AddressWatch) {
    this.host = host
    this.#clock = clock
    this.#random = random
    this.#watch = watch
  }

  attach(plugin: Plugin): void {
    this.#plugin = plugin
    this.up()
  }

  listen(listener: EngineListener): void {
    this.#listeners.add(listener)
    if (this.isUp) listener.connected?.()
  }

  status() {
    return { connected: this.isUp, apiVersion: '1.51', failure: this.isUp ? null : 'away' }
  }

  async networks(): Promise<EngineNetwork[]> {
    await this.#work()
    return Array.from(this.all.values(), ({ shown }) => shown)
  }

  async network(id: string): Promise<EngineNetwork | null> {
    await this.#work()
    return this.all.get(id)?.shown ?? null
  }

  async containers(): Promise<ListedContainer[]> {
    await this.#work()
    return Array.from(this.running, ([name, { network, endpointId, isRunning }]) => {
      const attachment = { NetworkID: network.shown.Id, EndpointID: endpointId }
      const Networks = { [network.shown.Name]: { ...attachment, Aliases: [], DNSNames: [] } }
      const State = isRunning ? 'running' : 'exited'
      return { Id: name, Names: [`/${name}`], State, Labels: {}, NetworkSettings: { Networks } }
    })
  }

  async createNetwork(spec: EngineNetworkSpec) {
    await this.#work()
    return this.#create(spec)
  }

  async removeNetwork(id: string) {
    await this.#work()
    const users = [...this.running.values()].filter(({ network }) => network.shown.Id === id)
    if (users.some(({ isRunning }) => isRunning))
      return { status: 403, message: 'active endpoints' }
    if (users.length > 0) this.violations.push(id)
    await this.#remove(id)
    return null
  }

  named(name: string): Network | undefined {
    return [...this.all.values()].find(({ shown }) => shown.Name === name)
  }

  /** `docker network create -d ts-overlay`, with our IPAM driver or the engine's own. */
  async create(name: string, ipam: 'ts-overlay' | 'default', subnet = ''): Promise<void> {
    if (!this.isUp) return
    const Config = subnet === '' ? [] : [configOf(subnet)]
    const flags = { Internal: false, Attachable: false, EnableIPv4: true, EnableIPv6: false }
    const spec = { Name: name, Driver: 'ts-overlay', ...flags, Options: {}, Labels: {} }
    const created = await this.#create({ ...spec, IPAM: { Driver: ipam, Options: {}, Config } })
    if ('message' in created) this.refusals.push(created.message)
  }

  async remove(name: string): Promise<void> {
    const network = this.named(name)
    if (network !== undefined && !this.#isActive(network)) await this.#remove(network.shown.Id)
  }

  async prune(): Promise<void> {
    for (const network of this.all.values())
      if (!this.#isActive(network)) await this.#remove(network.shown.Id)
    this.#tell('prune', '')
  }

  /** `docker run -d`; whether it runs. */
  async run(name: string, networkName: string): Promise<boolean> {
    const network = this.named(networkName)
    if (!this.isUp || network === undefined || this.running.has(name)) return false
    const endpointId = `${this.host}-e${this.#ids++}`
    const container = { network, endpointId, isRunning: true }
    // The engine keeps a container before it starts it: the network is referred to from here on.
    const placeholder = { ...container, ip: { ip: network.gateway, cidr: network.subnet } }
    this.running.set(name, placeholder)
    const ip = await this.#address(network).catch((error: unknown) => this.#refused(error))
    const started = ip !== null && (await this.#start(network, endpointId, ip))
    if (!started) {
      if (ip !== null) await this.#free(network, ip)
      this.running.delete(name)
      return false
    }
    this.running.set(name, { ...container, ip })
    return true
  }

  async #start({ shown, subnet }: Network, endpointId: string, ip: IpInCidr): Promise<boolean> {
    const ids = { networkId: shown.Id, endpointId }
    this.#watch.takes(this.host, shown.Name, subnet, ip.ip)
    try {
      await this.#plugin!.network.createEndpoint({ ...ids, addresses: [ip], mac: null })
      await this.#plugin!.network.join(ids)
      return true
    } catch (error) {
      this.#refused(error)
      await this.#plugin!.network.deleteEndpoint(shown.Id, endpointId)
      return false
    }
  }

  async stop(name: string): Promise<void> {
    const container = this.running.get(name)
    if (!this.isUp || container?.isRunning !== true) return
    container.isRunning = false
    const { network, endpointId, ip } = container
    await this.#plugin!.network.leave(network.shown.Id, endpointId)
    await this.#plugin!.network.deleteEndpoint(network.shown.Id, endpointId)
    await this.#free(network, ip)
  }

  async removeContainer(name: string): Promise<void> {
    await this.stop(name)
    if (this.running.get(name)?.isRunning === false) this.running.delete(name)
  }

  down(): void {
    this.isUp = false
  }

  up(): void {
    this.isUp = true
    for (const listener of this.#listeners) listener.connected?.()
  }

  #isActive({ shown }: Network): boolean {
    return [...this.running.values()].some(
      ({ network, isRunning }) => network.shown.Id === shown.Id && isRunning,
    )
  }

  async #create(spec: EngineNetworkSpec) {
    const taken = { status: 409, message: `network with name ${spec.Name} already exists` }
    if (this.named(spec.Name) !== undefined || this.#creating.has(spec.Name)) return taken
    this.#creating.add(spec.Name)
    try {
      return { id: await this.#place(spec) }
    } catch (error) {
      this.#refused(error)
      return { status: 500, message: messageOf(error) }
    } finally {
      this.#creating.delete(spec.Name)
    }
  }

  async #place(spec: EngineNetworkSpec): Promise<string> {
    const isOurs = spec.IPAM.Driver === 'ts-overlay'
    const [config = configOf('')] = spec.IPAM.Config
    const wanted = parseCidr(config.Subnet)
    const { ipam, network } = this.#plugin!
    const { poolId, pool } = isOurs
      ? await ipam.requestPool({
          space: 'ts-overlay',
          pool: wanted,
          subPool: null,
          options: {},
          ipv6: false,
        })
      : { poolId: null, pool: wanted ?? this.#freeSubnet() }
    const Id = `${this.host}-n${this.#ids++}`
    const asked = parseIp(config.Gateway)
    const first = parseIpInCidr(`${ipAt(pool, 1n)}/${pool.split('/')[1]}`)!
    let gateway = asked === null ? first : { ...first, ip: asked }
    try {
      if (poolId !== null)
        gateway = parseIpInCidr(
          await ipam.requestAddress({ poolId, address: asked, gateway: true }),
        )!
      const addressSpace = isOurs ? 'ts-overlay' : 'LocalDefault'
      const pools = [{ addressSpace, pool, gateway }]
      await network.createNetwork({ networkId: Id, options: {}, internal: false, pools })
    } catch (error) {
      if (poolId !== null) await ipam.releasePool(poolId)
      throw error
    }
    const Config = [{ ...config, Subnet: pool, Gateway: gateway.ip }]
    const kept = { Id, Scope: 'local', Ingress: false, ConfigOnly: false, Containers: {} }
    const shown = { ...spec, ...kept, ConfigFrom: null, IPAM: { ...spec.IPAM, Config } }
    this.all.set(Id, { shown, subnet: pool, gateway: gateway.ip, poolId })
    this.#tell('create', Id)
    return Id
  }

  async #remove(id: string): Promise<void> {
    const network = this.all.get(id)
    if (network === undefined || !this.all.delete(id)) return
    const { poolId } = network
    if (poolId !== null) await this.#plugin!.ipam.releasePool(poolId)
    await this.#plugin!.network.deleteNetwork(id)
    this.#tell('destroy', id)
  }

  /** As Docker's IPAM: the lowest that no network of this host has. */
  #freeSubnet(): Cidr {
    const used = new Set(Array.from(this.all.values(), ({ subnet }) => subnet))
    for (let n = 0; ; n++) {
      const cidr = parseCidr(`${ipAt(ownPools, BigInt(n) * 256n)}/24`)!
      if (!used.has(cidr)) return cidr
    }
  }

  /** As Docker's IPAM: the lowest of the range that this engine has not given. */
  async #address(network: Network): Promise<IpInCidr> {
    const { poolId, subnet, gateway, shown } = network
    if (poolId !== null) {
      const wish = { poolId, address: null, gateway: false }
      return parseIpInCidr(await this.#plugin!.ipam.requestAddress(wish))!
    }
    const range = parseCidr(shown.IPAM.Config[0]!.IPRange) ?? subnet
    const used = new Set(Array.from(this.running.values(), ({ ip }) => ip.ip).concat(gateway))
    for (let n = 1n; n < 255n; n++) {
      const ip = ipAt(subnet, n)
      if (cidrContains(range, ip) && !used.has(ip)) return { ip, cidr: subnet }
    }
    throw failure('POOL_EXHAUSTED', 'no available IPv4 addresses')
  }

  async #free({ poolId, subnet }: Network, { ip }: IpInCidr): Promise<void> {
    this.#watch.frees(this.host, subnet, ip)
    if (poolId !== null) await this.#plugin!.ipam.releaseAddress({ poolId, address: ip })
  }

  #refused(error: unknown): null {
    if (!(error instanceof OverlayError)) throw error
    this.refusals.push(error.message)
    return null
  }

  #tell(action: string, id: string): void {
    this.#clock.setTimeout(() => {
      const event = { Type: 'network', Action: action, Actor: { ID: id, Attributes: {} } } as const
      if (this.isUp) for (const listener of this.#listeners) listener.event?.(event)
    }, 1)
  }

  async #work(): Promise<void> {
    await sleep(this.#clock, below(this.#random, 20))
    if (!this.isUp) throw failure('ENGINE', 'the engine is away')
  }
}

function configOf(Subnet: string) {
  return { Subnet, IPRange: '', Gateway: '', AuxiliaryAddresses: {} }
}
