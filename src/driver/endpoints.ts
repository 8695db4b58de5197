import { isDeepStrictEqual } from 'node:util'
import { attempt, refusal } from '../base/errors.ts'
import type { EndpointLink, OverlayLinks } from '../dataplane/dataplane.ts'
import type { CreateEndpointCall, JoinCall } from '../engine-api/handlers.ts'
import { type Cidr, cidrBits } from '../net/cidr.ts'
import type { Peer } from '../net/endpoint.ts'
import { ipBits } from '../net/ip.ts'
import { isMulticastMac, type Mac, noMac } from '../net/mac.ts'
import type { EnginePools } from './agreed/engine-pools.ts'
import { type Endpoint, type Network, endpointClaim, shortId } from './network-store.ts'
import { parseNetworkOptions } from './network-options.ts'
import type { NetworkStore } from './network-store.ts'
import type { DriverParts, LinkLocation } from './ports.ts'
import { UniquenessCheck, refuseGateway } from './uniqueness.ts'

export type CreateEndpointRequest = Omit<CreateEndpointCall, 'options'> &
  Partial<Pick<CreateEndpointCall, 'options'>>

/** `sandboxKey` is the file of the container's namespace, which may not exist yet. */
export type JoinRequest = Omit<JoinCall, 'sandboxKey'> & { readonly sandboxKey?: string | null }

/** The answer to Join: the link, and the prefixes that it leads to besides its addresses'. */
export interface Joined {
  readonly sourceName: string
  readonly prefix: string
  readonly routes: readonly Cidr[]
}

/** The prefix of the names that the engine gives to links in a container. */
const containerNamePrefix = 'eth'
/** What the user wants the link to be called in the container. */
const linkNameOption = 'com.docker.network.endpoint.ifname'

/**
 * The endpoints of this host, from CreateEndpoint to DeleteEndpoint. Runs in their network's queue.
 */
export class Endpoints {
  readonly #parts: DriverParts
  readonly #store: NetworkStore
  readonly #uniqueness: UniquenessCheck
  readonly #enginePools: EnginePools

  constructor(parts: DriverParts, store: NetworkStore, enginePools: EnginePools) {
    this.#parts = parts
    this.#enginePools = enginePools
    this.#store = store
    this.#uniqueness = new UniquenessCheck(parts.peers, store)
  }

  /**
   * CreateEndpoint: the addresses are ours from here on. The claim is published now and not at
   * Join, so that two hosts that want one address at the same time know of each other before either
   * has a link.
   * @returns the MAC address when none was asked for: the engine accepts only what it left empty.
   */
  async create(request: CreateEndpointRequest): Promise<{ mac: Mac | null }> {
    const { networkId, endpointId } = request
    const network = this.#networkOf(networkId)
    const endpoint = this.#describe(network, request)
    const present = this.#store.endpoint(networkId, endpointId)
    if (present === undefined || !isDeepStrictEqual(present, endpoint)) {
      this.#uniqueness.refuseDuplicate(network, endpoint, () => true)
      await this.#store.putEndpoint(endpoint)
    }
    this.#parts.cluster.putEndpoint(endpointClaim(network, endpoint))
    return { mac: request.mac === null ? endpoint.mac : null }
  }

  /**
   * Join: creates what the engine moves into the container. For the network's first endpoint on
   * this host that is the overlay's namespace, bridge and VXLAN device with all known peers; then
   * one veth pair.
   */
  async join(request: JoinRequest): Promise<Joined> {
    const { networkId, endpointId, sandboxKey = null } = request
    const network = this.#networkOf(networkId)
    const endpoint = this.#store.endpoint(networkId, endpointId)
    if (endpoint === undefined)
      throw refusal(
        'ENDPOINT_NOT_FOUND',
        `endpoint ${shortId(endpointId)} of network ${shortId(networkId)} is not known here; ` +
          'start the container again',
      )
    this.#uniqueness.refuseDuplicate(network, endpoint, (peer) => this.#isEarlier(peer, endpoint))
    // First the disk, which may be full: then nothing is created.
    const joined = { ...endpoint, joined: true, sandboxKey }
    await this.#store.putEndpoint(joined)
    const sourceName = await this.#attach(network, joined).catch(async (error: unknown) => {
      await this.#undoJoin(network, endpoint)
      throw error
    })
    this.#parts.cluster.putEndpoint(endpointClaim(network, endpoint))
    return {
      sourceName,
      prefix: endpoint.linkPrefix ?? containerNamePrefix,
      routes: routesOf(network, endpoint),
    }
  }

  /** Leave: withdraws the claim. The link is still in its sandbox. */
  async leave(networkId: string, endpointId: string): Promise<void> {
    const network = this.#store.network(networkId)
    const endpoint = this.#store.endpoint(networkId, endpointId)
    if (network === undefined || endpoint === undefined) return
    this.#parts.cluster.removeEndpoint(endpointClaim(network, endpoint))
    await this.#store.putEndpoint({ ...endpoint, joined: false })
  }

  /**
   * DeleteEndpoint: removes the link. Comes without a Leave after a failed Join, and for endpoints
   * that are not known. The overlay's namespace stays a while: see `DelayedTeardown`.
   */
  async delete(networkId: string, endpointId: string): Promise<void> {
    const network = this.#store.network(networkId)
    const endpoint = this.#store.endpoint(networkId, endpointId)
    if (network === undefined || endpoint === undefined) return
    this.#parts.cluster.removeEndpoint(endpointClaim(network, endpoint))
    await this.#parts.dataplane.detachEndpoint(network.overlayId, endpointId)
    await this.#store.removeEndpoint(endpointId)
  }

  /**
   * Before the plugin stops: withdraws the claims of endpoints whose container was stopped, which
   * the engine has not said yet. Claims that are left stay valid while the plugin is away.
   * @returns whether any container is still attached.
   */
  async withdrawIdle(): Promise<boolean> {
    const { dataplane, cluster, logger } = this.#parts
    let isServing = false
    for (const network of this.#store.networks()) {
      const links = await attempt<ReadonlyMap<string, LinkLocation>, null>(
        () => dataplane.linkLocations(network.overlayId),
        (message) => {
          logger.warn(`before stopping: ${message}`)
          return null
        },
      )
      for (const endpoint of this.#store.endpoints(network.networkId)) {
        // When the kernel cannot be read, the container may be attached.
        const isAttached = links === null || links.get(endpoint.endpointId) === 'sandbox'
        if (endpoint.joined && isAttached) isServing = true
        else cluster.removeEndpoint(endpointClaim(network, endpoint))
      }
    }
    return isServing
  }

  async #attach(network: Network, endpoint: Endpoint): Promise<string> {
    const { dataplane } = this.#parts
    await dataplane.attachOverlay(overlayLinks(this.#parts, network))
    const link = endpointLink(network, endpoint)
    return (await dataplane.attachEndpoint(network.overlayId, link)).sourceName
  }

  /** Undoes a join that failed. What cannot be undone now is an orphan, and collected later. */
  async #undoJoin({ overlayId }: Network, before: Endpoint): Promise<void> {
    if (before.joined) return
    await attempt(
      async () => {
        await this.#parts.dataplane.detachEndpoint(overlayId, before.endpointId)
        await this.#store.putEndpoint(before)
      },
      (message) => this.#parts.logger.warn(`undoing a join that failed: ${message}`),
    )
  }

  #isEarlier(peer: Peer, { claimedAt }: Endpoint): boolean {
    if (peer.claimedAt !== claimedAt) return peer.claimedAt < claimedAt
    return peer.origin < this.#parts.cluster.self
  }

  #networkOf(networkId: string): Network {
    const network = this.#store.network(networkId)
    if (network !== undefined) return network
    throw refusal(
      'NETWORK_NOT_FOUND',
      `network ${shortId(networkId)} is not known to ts-overlay on this host; ` +
        'remove it with "docker network rm" and create it again',
    )
  }

  #describe(network: Network, request: CreateEndpointRequest): Endpoint {
    const { endpointId, addresses, mac } = request
    const first = addresses[0]
    if (first === undefined)
      throw refusal(
        'BAD_REQUEST',
        `endpoint ${shortId(endpointId)} has no address; ` +
          'create the network with --ipam-driver ts-overlay, or with an IPAM driver that gives one',
      )
    if (mac !== null && isMulticastMac(mac))
      throw refusal('BAD_REQUEST', `${mac} is a group address; give a unicast --mac-address`)
    if (mac === noMac)
      throw refusal('BAD_REQUEST', `${mac} stands for no address; give another --mac-address`)
    refuseGateway(network, addresses)
    this.#enginePools.refuseOthers(network, addresses)
    const present = this.#store.endpoint(network.networkId, endpointId)
    return {
      endpointId,
      networkId: network.networkId,
      addresses,
      mac: mac ?? present?.mac ?? this.#uniqueness.chooseMac(network, first.ip),
      claimedAt: present?.claimedAt ?? Math.floor(this.#parts.clock.wall() / 1000),
      joined: present?.joined ?? false,
      sandboxKey: present?.sandboxKey ?? null,
      ...linkPrefixOf(request.options?.[linkNameOption]),
    }
  }
}

/** The links of a network's overlay on this host. */
export function overlayLinks(
  { vtep, vxlanPort }: Pick<DriverParts, 'vtep' | 'vxlanPort'>,
  { overlayId, vni, mtu, gateways, options, encrypted, multicast }: Network,
): OverlayLinks {
  const { spoofing } = parseNetworkOptions(options)
  const how = { spoofing, encrypted, multicast: multicast === true }
  return { overlayId, vni, mtu, gateways, vtep, port: vxlanPort, ...how }
}

/** The veth pair of an endpoint. */
export function endpointLink(network: Network, endpoint: Endpoint): EndpointLink {
  const { endpointId, mac, addresses, sandboxKey = null } = endpoint
  const routes = routesOf(network, endpoint)
  return { endpointId, mac, mtu: network.mtu, addresses, sandboxKey, routes }
}

/** The overlay's subnets of an endpoint's families that none of its addresses is in. */
export function routesOf({ pools }: Network, { addresses }: Endpoint): Cidr[] {
  const families = new Set(addresses.map(({ ip }) => ipBits(ip)))
  const own = new Set(addresses.map(({ cidr }) => cidr))
  return pools.filter((pool) => families.has(cidrBits(pool)) && !own.has(pool))
}

/** The engine takes a prefix from an external driver, and adds the lowest number that is free. */
function linkPrefixOf(name: unknown): { linkPrefix?: string } {
  if (name === undefined) return {}
  const text = typeof name === 'string' ? name : JSON.stringify(name)
  const [, linkPrefix] = /^([a-z][\w.-]{0,11}?)\d*$/i.exec(text) ?? []
  if (linkPrefix !== undefined) return { linkPrefix }
  const rule =
    'use a letter first, at most twelve characters of a-z, 0-9, _, - and ., then a number'
  throw refusal('OPTION_INVALID', `driver-opt ${linkNameOption}="${text}": ${rule}`)
}
