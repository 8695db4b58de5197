import type { Cidr, IpInCidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'

/** Where a name is known: on this host alone, or in the whole swarm. */
export type Scope = 'local' | 'global'

/**
 * What the engine asks before anything else. Constants, because it asks within milliseconds of the
 * start, and a driver that does not answer then is silently missing from the engine.
 */
export interface Introduction {
  /**
   * The scope on the managed socket. The legacy socket is always `local`: swarm refuses others
   * there.
   */
  readonly scope: Scope
  /** Whether endpoints on several hosts reach each other; the engine then tells its swarm peers. */
  readonly connectivityScope: Scope
  /** Two different names; the engine sends one of them with every RequestPool. */
  readonly addressSpaces: { readonly local: string; readonly global: string }
  /** Whether the engine, when it starts, requests again every pool and address that it knows. */
  readonly requestReplay: boolean
}

/** One subnet of a network, as the engine's address management chose it. */
export interface NetworkPool {
  readonly addressSpace: string
  readonly pool: Cidr
  /** Null when the engine allocated none. */
  readonly gateway: IpInCidr | null
  /** Addresses that `--aux-address` kept back, by the names the user gave. */
  readonly aux: Readonly<Record<string, IpInCidr>>
}

export interface NetworkCall {
  readonly networkId: string
  /** What the user gave with `-o`; the labels of libnetwork's own are not among them. */
  readonly options: Readonly<Record<string, string>>
  /** IPv4 pools first, then IPv6, each in the user's order. */
  readonly pools: readonly NetworkPool[]
}

interface CreateNetworkCall extends NetworkCall {
  readonly internal: boolean
}

export interface CreateEndpointCall {
  readonly networkId: string
  readonly endpointId: string
  /** At most one of each family; none when the user chose `--ipam-driver null`. */
  readonly addresses: readonly IpInCidr[]
  /** Null when the user asked for none; the answer then names the one that the link will have. */
  readonly mac: Mac | null
  /** Labels of libnetwork and the user's `--driver-opt`, side by side and as they came. */
  readonly options: Readonly<Record<string, unknown>>
}

export interface JoinCall {
  readonly networkId: string
  readonly endpointId: string
  /** The sandbox's path as the engine sees it. On engines before 28 nothing is there yet. */
  readonly sandboxKey: string
}

/**
 * The network driver, as the engine needs it. Every call may come again, out of turn, or for ids
 * that are unknown; deletions of what is not there succeed. A call may throw an OverlayError, whose
 * message the user reads; anything else that is thrown is a bug and ends the process.
 */
export interface NetworkDriverHandlers {
  createNetwork(call: CreateNetworkCall): Promise<void>
  deleteNetwork(networkId: string): Promise<void>
  /** Removes a network that the engine does not have. Refuses one with endpoints. */
  dropNetwork(networkId: string): Promise<unknown>
  /** The MAC address when the call had none, else null: the engine refuses to have one repeated. */
  createEndpoint(call: CreateEndpointCall): Promise<{ readonly mac: Mac | null }>
  deleteEndpoint(networkId: string, endpointId: string): Promise<void>
  /**
   * The link to move into the container, at most 15 bytes, the start of its name there, and the
   * prefixes besides its addresses' that it leads to.
   */
  join(call: JoinCall): Promise<{
    readonly sourceName: string
    readonly prefix: string
    readonly routes: readonly Cidr[]
  }>
  leave(networkId: string, endpointId: string): Promise<void>
  /**
   * On a swarm manager: the options that every host will get in createNetwork, the user's included.
   */
  allocateNetwork(call: NetworkCall): Promise<Readonly<Record<string, string>>>
  freeNetwork(networkId: string): Promise<void>
  /** On a swarm host: another host (`self` false) came or went; `self` is this one. */
  discover(address: Ip, self: boolean, present: boolean): void
}

interface RequestPoolCall {
  readonly space: string
  /** Null when the user gave no `--subnet`: a different pool each time, and an error at the end. */
  readonly pool: Cidr | null
  /** The user's `--ip-range`. */
  readonly subPool: Cidr | null
  /** The user's `--ipam-opt`. */
  readonly options: Readonly<Record<string, string>>
  readonly ipv6: boolean
}

interface RequestAddressCall {
  readonly poolId: string
  /** Null when any address will do. */
  readonly address: Ip | null
  /** Whether it is for the network's gateway. */
  readonly gateway: boolean
  /** The container's name, which engines tell from 29 on. */
  readonly name: string | null
}

/**
 * The address management, as the engine needs it. The rules of NetworkDriverHandlers hold here too.
 */
export interface IpamDriverHandlers {
  /** `poolId` is not empty, and all that later calls name. */
  requestPool(call: RequestPoolCall): Promise<{ readonly poolId: string; readonly pool: Cidr }>
  /** Releases every address in it as well: after some errors the engine releases only the pool. */
  releasePool(poolId: string): Promise<void>
  /** The address with its pool's length: `10.0.0.7/24`. */
  requestAddress(call: RequestAddressCall): Promise<string>
  releaseAddress(call: { readonly poolId: string; readonly address: Ip }): Promise<void>
}

/** All that the engine's calls are handed to. */
export interface PluginHandlers {
  readonly network: NetworkDriverHandlers
  readonly ipam: IpamDriverHandlers
}
