import { createHash } from 'node:crypto'
import type { FakeEngine } from './fake-engine.ts'

/**
 * What an engine does for the commands of a user, call by call, with what it does when a call
 * fails: how it rolls back, and which errors it only logs. After a failure it has forgotten what it
 * was doing.
 */
export class EngineStory {
  readonly networkId: string
  readonly pool: string
  #engine: FakeEngine
  #poolId = ''
  #gateway = ''
  /** By endpoint id, the address of each container, as it was given. */
  readonly containers = new Map<string, string>()

  constructor(engine: FakeEngine, pool: string) {
    this.#engine = engine
    this.pool = pool
    this.networkId = idOf(`network ${pool}`)
  }

  /** Goes on with another engine, as after a restart. */
  with(engine: FakeEngine): this {
    this.#engine = engine
    return this
  }

  /** `docker network create`. Rejects as the command fails. */
  async createNetwork(): Promise<void> {
    const wish = {
      AddressSpace: 'ts-overlay',
      Pool: this.pool,
      SubPool: '',
      Options: {},
      V6: false,
    }
    this.#poolId = String((await this.#call('IpamDriver.RequestPool', wish))['PoolID'])
    try {
      const type = { RequestAddressType: 'com.docker.network.gateway' }
      this.#gateway = await this.#requestAddress('', type)
      await this.#call('NetworkDriver.CreateNetwork', this.#description())
    } catch (error) {
      if (this.#gateway !== '') await this.#release(this.#gateway)
      await this.#quietly('IpamDriver.ReleasePool', { PoolID: this.#poolId })
      throw error
    }
  }

  /**
   * `docker run`, with any address or `--ip`, in a sandbox. Returns the endpoint's id, and the name of the link
   * that the engine moves.
   */
  async start(
    container: string,
    ip = '',
    sandbox = '/var/run/docker/netns/d736a2c40fa8',
  ): Promise<{ endpointId: string; link: string }> {
    const endpointId = idOf(`endpoint ${container}`)
    const ids = { NetworkID: this.networkId, EndpointID: endpointId }
    const address = await this.#requestAddress(ip, {})
    try {
      const wish = { Address: address, AddressIPv6: '', MacAddress: '' }
      await this.#call('NetworkDriver.CreateEndpoint', { ...ids, Interface: wish, Options: {} })
    } catch (error) {
      await this.#release(address)
      throw error
    }
    try {
      const joined = await this.#call('NetworkDriver.Join', {
        ...ids,
        SandboxKey: sandbox,
        Options: {},
      })
      this.containers.set(endpointId, address)
      return { endpointId, link: (joined['InterfaceName'] as { SrcName: string }).SrcName }
    } catch (error) {
      await this.#quietly('NetworkDriver.DeleteEndpoint', ids)
      await this.#release(address)
      throw error
    }
  }

  /** `docker rm -f`. Errors are only logged. */
  async stop(endpointId: string): Promise<void> {
    const ids = { NetworkID: this.networkId, EndpointID: endpointId }
    await this.#quietly('NetworkDriver.Leave', ids)
    await this.#quietly('NetworkDriver.DeleteEndpoint', ids)
    await this.#release(this.containers.get(endpointId)!)
    this.containers.delete(endpointId)
  }

  /** `docker network rm`. Errors are only logged. */
  async removeNetwork(): Promise<void> {
    await this.#release(this.#gateway)
    await this.#quietly('IpamDriver.ReleasePool', { PoolID: this.#poolId })
    await this.#quietly('NetworkDriver.DeleteNetwork', { NetworkID: this.networkId })
  }

  #description(): object {
    const Options = { 'com.docker.network.enable_ipv4': true, 'com.docker.network.generic': {} }
    const data = { AddressSpace: 'ts-overlay', Gateway: this.#gateway, Pool: this.pool }
    return { NetworkID: this.networkId, Options, IPv4Data: [data], IPv6Data: [] }
  }

  async #requestAddress(address: string, options: object): Promise<string> {
    const wish = { PoolID: this.#poolId, Address: address, Options: options }
    return String((await this.#call('IpamDriver.RequestAddress', wish))['Address'])
  }

  async #release(address: string): Promise<void> {
    const ip = address.split('/')[0]
    await this.#quietly('IpamDriver.ReleaseAddress', { PoolID: this.#poolId, Address: ip })
  }

  #call(name: string, body: object): Promise<Readonly<Record<string, unknown>>> {
    return this.#engine.call(name, JSON.stringify(body))
  }

  async #quietly(name: string, body: object): Promise<void> {
    await this.#call(name, body).catch(() => {})
  }
}

/** An identifier like the engine's. */
function idOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
