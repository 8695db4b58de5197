import { createHash } from 'node:crypto'
import { cidrContains, parseCidr } from '../../src/net/cidr.ts'
import { parseIp } from '../../src/net/ip.ts'
import type { FakeEngine } from './fake-engine.ts'

/**
 * What an engine does for the commands of a user, call by call, with what it does when a call
 * fails: how it rolls back, and which errors it only logs. After a failure it has forgotten what it
 * was doing.
 */
export class EngineStory {
  readonly networkId: string
  readonly pools: readonly string[]
  #engine: FakeEngine
  readonly #held: { readonly pool: string; readonly id: string; gateway: string }[] = []
  /** By endpoint id, the address of each container, as it was given. */
  readonly containers = new Map<string, string>()
  /** By endpoint id, the pool ids that its addresses were requested of. */
  readonly #requested = new Map<string, readonly [poolId: string, address: string][]>()

  /** The network of a story has these subnets, of one family or both. */
  constructor(engine: FakeEngine, pools: string | readonly string[]) {
    this.#engine = engine
    this.pools = typeof pools === 'string' ? [pools] : pools
    this.networkId = idOf(`network ${this.pools.join()}`)
  }

  /** The first of them. */
  get pool(): string {
    return this.pools[0]!
  }

  /** Goes on with another engine, as after a restart. */
  with(engine: FakeEngine): this {
    this.#engine = engine
    return this
  }

  /** `docker network create`, with options of the driver. Rejects as the command fails. */
  async createNetwork(options: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#held.length = 0
    try {
      for (const pool of this.pools) await this.#holdPool(pool)
      await this.#call('NetworkDriver.CreateNetwork', this.#description(options))
    } catch (error) {
      await this.#releasePools()
      throw error
    }
  }

  /**
   * `docker run`, with any address or `--ip`, in a sandbox. Returns the endpoint's id, the name of the link
   * that the engine moves, and with what it configures it.
   */
  async start(
    container: string,
    wanted: string | readonly string[] = '',
    sandbox = '/var/run/docker/netns/d736a2c40fa8',
  ): Promise<StartedContainer> {
    const endpointId = idOf(`endpoint ${container}`)
    const ids = { NetworkID: this.networkId, EndpointID: endpointId }
    const given = await this.#requestAddresses([wanted].flat())
    const addresses = given.map(([, address]) => address)
    const of = (mark: string): string => addresses.find((address) => address.includes(mark)) ?? ''
    const wish = { Address: of('.'), AddressIPv6: of(':'), MacAddress: '' }
    try {
      await this.#call('NetworkDriver.CreateEndpoint', { ...ids, Interface: wish, Options: {} })
    } catch (error) {
      await this.#releaseAll(given)
      throw error
    }
    try {
      const request = { ...ids, SandboxKey: sandbox, Options: {} }
      const joined = await this.#call('NetworkDriver.Join', request)
      this.containers.set(endpointId, addresses[0]!)
      this.#requested.set(endpointId, given)
      const routes = (joined['StaticRoutes'] ?? []) as { Destination: string }[]
      return {
        endpointId,
        link: (joined['InterfaceName'] as { SrcName: string }).SrcName,
        addresses,
        routes: routes.map(({ Destination }) => Destination),
      }
    } catch (error) {
      await this.#quietly('NetworkDriver.DeleteEndpoint', ids)
      await this.#releaseAll(given)
      throw error
    }
  }

  /** `docker rm -f`. Errors are only logged. */
  async stop(endpointId: string): Promise<void> {
    const ids = { NetworkID: this.networkId, EndpointID: endpointId }
    await this.#quietly('NetworkDriver.Leave', ids)
    await this.#quietly('NetworkDriver.DeleteEndpoint', ids)
    await this.#releaseAll(this.#requested.get(endpointId)!)
    this.containers.delete(endpointId)
    this.#requested.delete(endpointId)
  }

  /** `docker network rm`. Errors are only logged. */
  async removeNetwork(): Promise<void> {
    await this.#releasePools()
    await this.#quietly('NetworkDriver.DeleteNetwork', { NetworkID: this.networkId })
  }

  async #holdPool(pool: string): Promise<void> {
    const V6 = pool.includes(':')
    const wish = { AddressSpace: 'ts-overlay', Pool: pool, SubPool: '', Options: {}, V6 }
    const id = String((await this.#call('IpamDriver.RequestPool', wish))['PoolID'])
    const held = { pool, id, gateway: '' }
    this.#held.push(held)
    const type = { RequestAddressType: 'com.docker.network.gateway' }
    held.gateway = await this.#requestAddress(id, '', type)
  }

  async #releasePools(): Promise<void> {
    for (const { id, gateway } of this.#held) {
      if (gateway !== '') await this.#releaseAll([[id, gateway]])
      await this.#quietly('IpamDriver.ReleasePool', { PoolID: id })
    }
  }

  /** One of each family: of the pool that has the one that is wanted, else of the first. */
  async #requestAddresses(wishes: readonly string[]): Promise<[poolId: string, address: string][]> {
    const given: [string, string][] = []
    for (const mark of ['.', ':']) {
      const family = this.#held.filter(({ pool }) => pool.includes(mark))
      const wanted = parseIp(wishes.find((ip) => ip.includes(mark)) ?? '')
      const having = family.find(
        ({ pool }) => wanted !== null && cidrContains(parseCidr(pool)!, wanted),
      )
      const id = (having ?? family[0])?.id
      if (id !== undefined) given.push([id, await this.#requestAddress(id, wanted ?? '', {})])
    }
    return given
  }

  #description(options: Readonly<Record<string, string>>): object {
    const data = this.#held.map(({ pool, gateway }) => {
      return { AddressSpace: 'ts-overlay', Gateway: gateway, Pool: pool }
    })
    const IPv4Data = data.filter(({ Pool }) => Pool.includes('.'))
    const IPv6Data = data.filter(({ Pool }) => Pool.includes(':'))
    const Options = {
      'com.docker.network.enable_ipv4': IPv4Data.length > 0,
      'com.docker.network.generic': options,
    }
    return { NetworkID: this.networkId, Options, IPv4Data, IPv6Data }
  }

  async #requestAddress(poolId: string, address: string, options: object): Promise<string> {
    const wish = { PoolID: poolId, Address: address, Options: options }
    return String((await this.#call('IpamDriver.RequestAddress', wish))['Address'])
  }

  async #releaseAll(addresses: readonly (readonly [string, string])[]): Promise<void> {
    for (const [poolId, address] of addresses) {
      const ip = address.split('/')[0]
      await this.#quietly('IpamDriver.ReleaseAddress', { PoolID: poolId, Address: ip })
    }
  }

  #call(name: string, body: object): Promise<Readonly<Record<string, unknown>>> {
    return this.#engine.call(name, JSON.stringify(body))
  }

  async #quietly(name: string, body: object): Promise<void> {
    await this.#call(name, body).catch(() => {})
  }
}

/** What the engine configures a container's link with. */
export interface StartedContainer {
  readonly endpointId: string
  readonly link: string
  /** Each with its length. */
  readonly addresses: readonly string[]
  /** Prefixes that are on the link. */
  readonly routes: readonly string[]
}

/** An identifier like the engine's. */
function idOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
