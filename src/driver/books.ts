import type { Endpoint, Network } from './network.ts'
import type { DriverStore } from './ports.ts'

const networksTable = 'networks'
const endpointsTable = 'endpoints'

/**
 * The networks and endpoints of this host. Memory is only ever what the disk already holds: a change
 * is written first, and seen after.
 */
export class Books {
  readonly #store: DriverStore
  readonly #networks = new Map<string, Network>()
  readonly #endpoints = new Map<string, Endpoint>()

  constructor(store: DriverStore) {
    this.#store = store
    for (const [id, network] of store.entries<Network>(networksTable))
      this.#networks.set(id, network)
    for (const [id, endpoint] of store.entries<Endpoint>(endpointsTable))
      this.#endpoints.set(id, endpoint)
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

  endpointsOf(networkId: string): Endpoint[] {
    return [...this.#endpoints.values()].filter((endpoint) => endpoint.networkId === networkId)
  }

  async putNetwork(network: Network): Promise<void> {
    await this.#store.write([{ table: networksTable, key: network.networkId, value: network }])
    this.#networks.set(network.networkId, network)
  }

  async dropNetwork(networkId: string): Promise<void> {
    const endpoints = this.endpointsOf(networkId)
    await this.#store.write([
      { table: networksTable, key: networkId, value: null },
      ...endpoints.map(({ endpointId }) => ({
        table: endpointsTable,
        key: endpointId,
        value: null,
      })),
    ])
    this.#networks.delete(networkId)
    for (const { endpointId } of endpoints) this.#endpoints.delete(endpointId)
  }

  async putEndpoint(endpoint: Endpoint): Promise<void> {
    await this.#store.write([{ table: endpointsTable, key: endpoint.endpointId, value: endpoint }])
    this.#endpoints.set(endpoint.endpointId, endpoint)
  }

  async dropEndpoint(endpointId: string): Promise<void> {
    await this.#store.write([{ table: endpointsTable, key: endpointId, value: null }])
    this.#endpoints.delete(endpointId)
  }
}
