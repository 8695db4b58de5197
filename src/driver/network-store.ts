import type { Ip } from '../net/ip.ts'
import type { Endpoint, Network } from './network.ts'
import type { DriverStore } from './ports.ts'

const networksTable = 'networks'
const endpointsTable = 'endpoints'
const danglingPoolsTable = 'left-pools'

/**
 * The networks and endpoints of this host. Memory is only ever what the disk already holds: a change
 * is written first, and seen after.
 */
export class NetworkStore {
  readonly #store: DriverStore
  readonly #networks = new Map<string, Network>()
  readonly #endpoints = new Map<string, Endpoint>()
  readonly #leftPools = new Map<string, number>()

  constructor(store: DriverStore) {
    this.#store = store
    for (const [id, network] of store.entries<Network>(networksTable))
      this.#networks.set(id, network)
    for (const [id, endpoint] of store.entries<Endpoint>(endpointsTable))
      this.#endpoints.set(id, endpoint)
    for (const [key, since] of store.entries<number>(danglingPoolsTable))
      this.#leftPools.set(key, since)
  }

  network(networkId: string): Network | undefined {
    return this.#networks.get(networkId)
  }

  networks(): Network[] {
    return [...this.#networks.values()]
  }

  networkOfOverlay(overlayId: string): Network | undefined {
    return this.networks().find((network) => network.overlayId === overlayId)
  }

  endpoint(networkId: string, endpointId: string): Endpoint | undefined {
    const endpoint = this.#endpoints.get(endpointId)
    return endpoint?.networkId === networkId ? endpoint : undefined
  }

  /** Whether an endpoint of a network with that pool has the address. */
  hasAddress(poolKey: string, ip: Ip): boolean {
    return this.networks()
      .filter(({ poolKeys }) => poolKeys.includes(poolKey))
      .flatMap(({ networkId }) => this.endpointsOf(networkId))
      .some(({ addresses }) => addresses.some((address) => address.ip === ip))
  }

  endpointsOf(networkId: string): Endpoint[] {
    return [...this.#endpoints.values()].filter((endpoint) => endpoint.networkId === networkId)
  }

  async putNetwork(network: Network): Promise<void> {
    await this.#store.write([{ table: networksTable, key: network.networkId, value: network }])
    this.#networks.set(network.networkId, network)
  }

  /** Forgets a network, and notes the pools that the engine has yet to release, each with its `since`. */
  async removeNetwork(networkId: string, leftPools: ReadonlyMap<string, number>): Promise<void> {
    const endpoints = this.endpointsOf(networkId)
    await this.#store.write([
      { table: networksTable, key: networkId, value: null },
      ...endpoints.map(({ endpointId }) => ({
        table: endpointsTable,
        key: endpointId,
        value: null,
      })),
      ...Array.from(leftPools, ([key, since]) => ({
        table: danglingPoolsTable,
        key,
        value: since,
      })),
    ])
    this.#networks.delete(networkId)
    for (const { endpointId } of endpoints) this.#endpoints.delete(endpointId)
    for (const [key, since] of leftPools) this.#leftPools.set(key, since)
  }

  /** Pools whose network is gone and that the engine had yet to release, by key, with their `since`. */
  danglingPools(): ReadonlyMap<string, number> {
    return this.#leftPools
  }

  async removeDanglingPool(poolKey: string): Promise<void> {
    if (!this.#leftPools.has(poolKey)) return
    await this.#store.write([{ table: danglingPoolsTable, key: poolKey, value: null }])
    this.#leftPools.delete(poolKey)
  }

  putEndpoint(endpoint: Endpoint): Promise<void> {
    return this.putEndpoints([endpoint])
  }

  /** All of them or none, in one write. */
  async putEndpoints(endpoints: readonly Endpoint[]): Promise<void> {
    await this.#store.write(
      endpoints.map((endpoint) => {
        return { table: endpointsTable, key: endpoint.endpointId, value: endpoint }
      }),
    )
    for (const endpoint of endpoints) this.#endpoints.set(endpoint.endpointId, endpoint)
  }

  async removeEndpoint(endpointId: string): Promise<void> {
    await this.#store.write([{ table: endpointsTable, key: endpointId, value: null }])
    this.#endpoints.delete(endpointId)
  }
}
