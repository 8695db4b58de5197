import { sleep } from '../../../src/base/clock.ts'
import { below, type Random } from '../../../src/base/random.ts'
import { CallError, type EngineClient } from './engine-client.ts'
import { type SimulatedKernel, sandboxKeyOf } from './kernel.ts'
import type { Life } from './life.ts'

/** A container as the engine keeps it. */
export interface Container {
  readonly endpointId: string
  /** One of each family, with the pool that it was requested of. */
  readonly addresses: readonly { readonly poolId: string; readonly ip: string }[]
  readonly mac: string
  /** Whether it is started again when the engine starts. */
  readonly isKeptUp: boolean
  isRunning: boolean
}

/** A network as the engine keeps it. */
export interface EngineNetwork {
  readonly networkId: string
  /** Its subnets with a plus between them, the lowest first. */
  readonly subnet: string
  readonly pools: readonly HeldPool[]
  readonly containers: Map<string, Container>
  /** On the disk before anything is removed: an engine that starts goes on with it. */
  isBeingDeleted: boolean
}

interface HeldPool {
  readonly subnet: string
  readonly poolId: string
  readonly gateway: string
}

/** What is told about addresses: what an engine was given, and what it gives back. */
export interface AddressObserver {
  takes(host: string, subnet: string, ip: string): void
  frees(host: string, subnet: string, ip: string): void
}

/** How long after Join an engine takes the link: engines up to 27 start the process in between. ms. */
const maxTakeMs = 800
/** An engine's own work between two calls, ms. */
const maxWorkMs = 5

interface EngineParts {
  readonly host: string
  readonly life: Life
  readonly client: EngineClient
  readonly kernel: SimulatedKernel
  readonly random: Random
  readonly observer: AddressObserver
  readonly networks: Map<string, EngineNetwork>
  /** See `Engine.unheard`; outlives the engine's process. */
  readonly unheard: Set<string>
}

/**
 * What an engine does for the commands of a user, call by call, with its manners: how it rolls back, which errors it only
 * logs, what it does when it starts. Its networks are on its disk.
 */
export class Engine {
  readonly #parts: EngineParts
  /** Subnets whose network is being created or removed. */
  readonly #changing = new Set<string>()
  /** How many commands are under way, by subnet. */
  readonly #busy = new Map<string, number>()
  #isBooting: boolean
  /** Commands that failed. */
  failures = 0
  /** Commands that were carried out. */
  successes = 0

  /** An engine that `boots` is busy until `boot` has ended. */
  constructor(parts: EngineParts, { boots }: { readonly boots: boolean }) {
    this.#parts = parts
    this.#isBooting = boots
  }

  get networks(): ReadonlyMap<string, EngineNetwork> {
    return this.#parts.networks
  }

  get client(): EngineClient {
    return this.#parts.client
  }

  /** Subnets whose pool was to be released and whose plugin may not have heard of it. */
  get unheard(): Set<string> {
    return this.#parts.unheard
  }

  /** Whether a command is under way. */
  get isBusy(): boolean {
    return this.#isBooting || this.#busy.size > 0
  }

  /** `docker network create` with `--subnet`, or without when it is empty. Whether it succeeded. */
  createNetwork(subnet: string): Promise<boolean> {
    if (this.#isBooting || this.networks.has(subnet) || this.#busy.has(subnet))
      return Promise.resolve(false)
    return this.#alone(subnet, () => this.#createNetwork(subnet))
  }

  /** `docker network rm`, of one without containers. Errors are only logged. */
  removeNetwork(subnet: string): Promise<boolean> {
    const network = this.networks.get(subnet)
    if (network === undefined || network.containers.size > 0 || this.#busy.has(subnet))
      return Promise.resolve(false)
    return this.#alone(subnet, () => this.#removeNetwork(network))
  }

  /** `docker run`, with `--ip` when `ip` is not empty. */
  run(subnet: string, ip = ''): Promise<boolean> {
    const network = this.networks.get(subnet)
    if (this.#isBooting || network === undefined || this.#changing.has(subnet))
      return Promise.resolve(false)
    return this.#command(subnet, () => this.#start(network, ip))
  }

  /** `docker rm -f`. Errors are only logged. */
  stop(subnet: string, endpointId: string): Promise<boolean> {
    const network = this.networks.get(subnet)
    const container = network?.containers.get(endpointId)
    if (container === undefined || !container.isRunning) return Promise.resolve(false)
    return this.#command(subnet, () => this.#stop(network!, container))
  }

  /** Ends a container's process behind the engine's back, its namespace and its end of the link with it. */
  kill(subnet: string, endpointId: string): Promise<boolean> {
    this.#parts.kernel.destroySandbox(endpointId)
    return this.stop(subnet, endpointId)
  }

  /** The engine starts: ends what its last life left, then starts the containers that are to be up. */
  async boot(): Promise<void> {
    const wanted: EngineNetwork[] = []
    for (const network of this.networks.values()) {
      for (const container of network.containers.values()) {
        if (container.isKeptUp) wanted.push(network)
        await this.#command(network.subnet, () => this.#stop(network, container))
      }
    }
    for (const network of this.networks.values())
      if (network.isBeingDeleted)
        await this.#alone(network.subnet, () => this.#removeNetwork(network))
    this.#isBooting = false
    for (const network of wanted) await this.run(network.subnet)
  }

  /** A command that changes the network itself. */
  async #alone(subnet: string, work: () => Promise<void>): Promise<boolean> {
    this.#changing.add(subnet)
    return this.#command(subnet, work).finally(() => this.#changing.delete(subnet))
  }

  async #command(subnet: string, work: () => Promise<void>): Promise<boolean> {
    this.#busy.set(subnet, (this.#busy.get(subnet) ?? 0) + 1)
    try {
      await work()
      this.successes++
      return true
    } catch (error) {
      if (!(error instanceof CallError)) throw error
      this.failures++
      return false
    } finally {
      const left = this.#busy.get(subnet)! - 1
      if (left === 0) this.#busy.delete(subnet)
      else this.#busy.set(subnet, left)
    }
  }

  async #createNetwork(subnet: string): Promise<void> {
    const pools: HeldPool[] = []
    try {
      // The command line sends them in any order.
      const wanted = subnet.split('+')
      const first = wanted.length > 1 ? below(this.#parts.random, wanted.length) : 0
      for (const one of [...wanted.slice(first), ...wanted.slice(0, first)])
        await this.#holdPool(one, pools)
      const networkId = this.#id()
      const data = pools.map(({ subnet: Pool, gateway: Gateway }) => {
        return { AddressSpace: 'ts-overlay', Gateway, Pool }
      })
      await this.#call('NetworkDriver.CreateNetwork', {
        NetworkID: networkId,
        Options: { 'com.docker.network.generic': {} },
        IPv4Data: data.filter(({ Pool }) => !isIpv6(Pool)),
        IPv6Data: data.filter(({ Pool }) => isIpv6(Pool)),
      })
      const key = subnet === '' ? pools[0]!.subnet : subnet
      const network = { networkId, subnet: key, pools, containers: new Map() }
      this.#parts.networks.set(key, { ...network, isBeingDeleted: false })
      for (const pool of pools) this.unheard.delete(pool.subnet)
    } catch (error) {
      for (const pool of pools) await this.#releasePool(pool)
      throw error
    }
  }

  async #holdPool(subnet: string, held: HeldPool[]): Promise<void> {
    const AddressSpace = 'ts-overlay'
    const wish = { AddressSpace, Pool: subnet, SubPool: '', Options: {}, V6: isIpv6(subnet) }
    const granted = await this.#call('IpamDriver.RequestPool', wish)
    const [PoolID, Pool] = [String(granted['PoolID']), String(granted['Pool'])]
    // An engine that dies now has never heard of the pool.
    this.unheard.add(Pool)
    const pool = { subnet: Pool, poolId: PoolID, gateway: '' }
    held.push(pool)
    const type = { RequestAddressType: 'com.docker.network.gateway' }
    const address = { PoolID, Address: '', Options: type }
    pool.gateway = String((await this.#call('IpamDriver.RequestAddress', address))['Address'])
  }

  async #removeNetwork(network: EngineNetwork): Promise<void> {
    network.isBeingDeleted = true
    const { pools, networkId: NetworkID, subnet } = network
    for (const pool of pools) await this.#releasePool(pool)
    await this.#quietly('NetworkDriver.DeleteNetwork', { NetworkID })
    this.#parts.networks.delete(subnet)
  }

  async #start(network: EngineNetwork, ip: string): Promise<void> {
    const { random, kernel, life } = this.#parts
    const { networkId, containers } = network
    const given = await this.#requestAddresses(network, ip)
    const endpointId = this.#id()
    const ids = { NetworkID: networkId, EndpointID: endpointId }
    let mac = ''
    try {
      const of = (v6: boolean): string => given.find((one) => isIpv6(one.text) === v6)?.text ?? ''
      const Interface = { Address: of(false), AddressIPv6: of(true), MacAddress: '' }
      const wanted = { ...ids, Interface, Options: {} }
      const created = await this.#call('NetworkDriver.CreateEndpoint', wanted)
      mac = String((created['Interface'] as Record<string, unknown>)['MacAddress'])
    } catch (error) {
      await this.#release(network, given)
      throw error
    }
    const isKeptUp = below(random, 2) === 0
    const container = { endpointId, addresses: given, mac, isKeptUp, isRunning: false }
    containers.set(endpointId, container)
    const sandboxKey = sandboxKeyOf(endpointId)
    try {
      await this.#call('NetworkDriver.Join', { ...ids, SandboxKey: sandboxKey, Options: {} })
      await sleep(life, below(random, maxTakeMs))
      if (!kernel.take(endpointId)) throw new CallError('the link was not found')
    } catch (error) {
      for (let leaves = below(random, 3); leaves > 0; leaves--)
        await this.#quietly('NetworkDriver.Leave', ids)
      await this.#quietly('NetworkDriver.DeleteEndpoint', ids)
      await this.#release(network, given)
      containers.delete(endpointId)
      throw error
    }
    container.isRunning = true
  }

  async #stop(network: EngineNetwork, container: Container): Promise<void> {
    const { kernel } = this.#parts
    const { endpointId, addresses } = container
    container.isRunning = false
    const ids = { NetworkID: network.networkId, EndpointID: endpointId }
    await this.#quietly('NetworkDriver.Leave', ids)
    kernel.putBack(endpointId)
    await this.#quietly('NetworkDriver.DeleteEndpoint', ids)
    await this.#release(network, addresses)
    network.containers.delete(endpointId)
  }

  /** Of the first pool of each family, or the address that is asked for. */
  async #requestAddresses({ subnet, pools }: EngineNetwork, ip: string) {
    const { host, observer } = this.#parts
    const given: { poolId: string; ip: string; text: string }[] = []
    const families = Map.groupBy(pools, (pool) => isIpv6(pool.subnet))
    for (const [{ poolId }] of families.values() as Iterable<[HeldPool, ...HeldPool[]]>) {
      const wish = { PoolID: poolId, Address: ip, Options: {} }
      try {
        const text = String((await this.#call('IpamDriver.RequestAddress', wish))['Address'])
        given.push({ poolId, ip: plain(text), text })
        observer.takes(host, subnet, plain(text))
      } catch (error) {
        await this.#release({ subnet }, given)
        throw error
      }
    }
    return given
  }

  async #releasePool({ subnet, poolId: PoolID, gateway }: HeldPool): Promise<void> {
    if (gateway !== '')
      await this.#quietly('IpamDriver.ReleaseAddress', { PoolID, Address: plain(gateway) })
    if (!(await this.#quietly('IpamDriver.ReleasePool', { PoolID }))) this.unheard.add(subnet)
  }

  async #release(
    { subnet }: Pick<EngineNetwork, 'subnet'>,
    addresses: Container['addresses'],
  ): Promise<void> {
    const { host, observer } = this.#parts
    for (const { poolId: PoolID, ip: Address } of addresses) {
      observer.frees(host, subnet, Address)
      await this.#quietly('IpamDriver.ReleaseAddress', { PoolID, Address })
    }
  }

  async #call(name: string, body: object): Promise<Readonly<Record<string, unknown>>> {
    const { client, life, random } = this.#parts
    const reply = await client.call(name, body)
    await sleep(life, (maxWorkMs * below(random, 1000)) / 1000)
    return reply
  }

  /** Whether it succeeded. */
  async #quietly(name: string, body: object): Promise<boolean> {
    try {
      await this.#call(name, body)
      return true
    } catch (error) {
      if (!(error instanceof CallError)) throw error
      return false
    }
  }

  #id(): string {
    return Buffer.from(this.#parts.random.bytes(32)).toString('hex')
  }
}

function isIpv6(text: string): boolean {
  return text.includes(':')
}

/** `10.0.0.7` of `10.0.0.7/24`. */
function plain(address: string): string {
  return address.split('/')[0]!
}
