import type { Cidr, IpInCidr } from '../net/cidr.ts'
import type { EndpointClaim } from '../net/endpoint.ts'
import type { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Vni } from '../net/vni.ts'

const networksTable = 'networks'
const endpointsTable = 'endpoints'
const danglingPoolsTable = 'left-pools'

/** One of the engine's networks on this host, as the store keeps it. */
export interface Network {
  readonly networkId: string
  readonly overlayId: string
  readonly vni: Vni
  /** Bytes, of the containers' links. */
  readonly mtu: number
  readonly internal: boolean
  readonly encrypted: boolean
  /** Whether multicast and broadcasts leave the host; not in an older store. */
  readonly multicast?: boolean
  readonly pools: readonly Cidr[]
  /** Gateways as address and prefix; the overlay's bridge has them on every host. */
  readonly gateways: readonly string[]
  /** The keys of our own pools that this network is bound to; empty under another IPAM driver. */
  readonly poolKeys: readonly string[]
  /** Those of `pools` that the network got after it was created; none in an older store. */
  readonly added?: readonly Cidr[]
  /** What this host's engine may hand out, where the addresses are by the engines' own IPAM. */
  readonly ranges?: readonly Cidr[] | undefined
  /** The driver options as received, to recognize a repeated call. */
  readonly options: Readonly<Record<string, string>>
}

/** A container's attachment to a network, as the store keeps it. */
export interface Endpoint {
  readonly endpointId: string
  readonly networkId: string
  readonly addresses: readonly IpInCidr[]
  readonly mac: Mac
  /** Seconds since the Unix epoch: when this host first claimed these addresses. */
  readonly claimedAt: number
  /** Whether its link exists: between Join and Leave. */
  readonly joined: boolean
  /** The file of the container's namespace, as the engine names it; unknown before Join. */
  readonly sandboxKey?: string | null
  /** What the engine is to call the link in the container, before a number; `eth` when absent. */
  readonly linkPrefix?: string
}

/** What this host publishes of an overlay that it takes part in. */
export interface OverlayClaim {
  readonly overlayId: string
  readonly vni: Vni
  readonly pools: readonly Cidr[]
  readonly mtu: number
  readonly encrypted: boolean
  /** Whether multicast and broadcasts leave the host; only true is published. */
  readonly multicast?: boolean | undefined
  /** The keys of our own pools among them; earlier releases do not publish them. */
  readonly poolKeys?: readonly string[] | undefined
  /** Those of `pools` that were added after the network was created. */
  readonly added?: readonly Cidr[] | undefined
  /** What the member's engine hands out, where that is by the engines' own IPAM. */
  readonly ranges?: readonly Cidr[] | undefined
}

/** An overlay as a member has published it. */
export interface KnownOverlay extends OverlayClaim {
  readonly member: string
  /** The member's UDP port for VXLAN; earlier releases do not publish it. */
  readonly port?: number | undefined
  /** The member's VTEP, of one that is live. */
  readonly vtep?: Ip | undefined
}

/** The disk, as the driver needs it: a write is durable once it resolves. */
export interface DriverStore {
  entries<T>(table: string): [string, T][]
  write(changes: { table: string; key: string; value: unknown }[]): Promise<void>
}

/** The networks and endpoints of this host. A change is on disk before it can be read here. */
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
      .flatMap(({ networkId }) => this.endpoints(networkId))
      .some(({ addresses }) => addresses.some((address) => address.ip === ip))
  }

  endpoints(networkId: string): Endpoint[] {
    return [...this.#endpoints.values()].filter((endpoint) => endpoint.networkId === networkId)
  }

  async putNetwork(network: Network): Promise<void> {
    await this.#store.write([{ table: networksTable, key: network.networkId, value: network }])
    this.#networks.set(network.networkId, network)
  }

  /**
   * Removes a network, and records the pools that the engine has yet to release, each with its
   * `since`.
   */
  async removeNetwork(networkId: string, leftPools: ReadonlyMap<string, number>): Promise<void> {
    const endpoints = this.endpoints(networkId)
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

  /**
   * Pools whose network was removed before the engine released them, by key, with their `since`.
   */
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

/** The claim of a network's overlay. */
export function overlayClaim(network: Network): OverlayClaim {
  const { overlayId, vni, pools, mtu, encrypted, poolKeys, added, ranges } = network
  const multicast = network.multicast === true ? true : undefined
  const claim = { overlayId, vni, pools, mtu, encrypted, multicast, poolKeys, ranges }
  return added === undefined ? claim : { ...claim, added }
}

/** The claim of an endpoint of that network. */
export function endpointClaim(network: Network, endpoint: Endpoint): EndpointClaim {
  return {
    vni: network.vni,
    endpointId: endpoint.endpointId,
    ips: endpoint.addresses.map((address) => address.ip),
    mac: endpoint.mac,
    claimedAt: endpoint.claimedAt,
    ...(network.encrypted ? { encrypted: true } : {}),
  }
}

/** A short form of the engine's long identifiers, as its own command line shows them. */
export function shortId(id: string): string {
  return id.slice(0, 12)
}
