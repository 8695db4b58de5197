import { isDeepStrictEqual } from 'node:util'
import { attempt, refusal } from '../base/errors.ts'
import { type Cidr, type IpInCidr, ipWithLength } from '../net/cidr.ts'
import {
  type KnownOverlay,
  type Network,
  endpointClaim,
  overlayClaim,
  shortId,
} from './network-store.ts'
import type { NetworkStore } from './network-store.ts'
import { parseNetworkOptions } from './network-options.ts'
import {
  chooseOverlayParameters,
  refuseSharedPool,
  isSwarmId,
  mtuFault,
  overlayOfPools,
} from './overlay-parameters.ts'
import { engineSubnets } from './added-subnets.ts'
import type { AgreedVnis } from './agreed/agreed-vnis.ts'
import { type EnginePools, isEngines, refuseForeignPools } from './agreed/engine-pools.ts'
import { enginePoolKey, parsePoolKey } from '../net/pool-key.ts'
import { freeVni, searchFrom, type Vni } from '../net/vni.ts'
import type { DriverParts, RequestedPool } from './ports.ts'

/** One subnet of a network, as the engine describes it. */
interface NetworkPool {
  readonly addressSpace: string
  readonly pool: Cidr
  readonly gateway: IpInCidr | null
}

/** A network as the engine requests it. */
export interface CreateNetworkRequest {
  readonly networkId: string
  readonly options: Readonly<Record<string, string>>
  readonly internal: boolean
  readonly pools: readonly NetworkPool[]
}

export type AllocateNetworkRequest = Omit<CreateNetworkRequest, 'internal'>

interface NetworksParts {
  readonly driver: DriverParts
  readonly store: NetworkStore
  readonly vnis: AgreedVnis
  readonly enginePools: EnginePools
  /** Runs a task in the queue of all networks. */
  readonly inQueue: (task: () => Promise<void>) => Promise<void>
}

/**
 * The networks of this host, from CreateNetwork to DeleteNetwork. All but `create` run in the queue
 * of all networks.
 */
export class Networks {
  readonly #parts: DriverParts
  readonly #store: NetworkStore
  readonly #vnis: AgreedVnis
  readonly #enginePools: EnginePools
  readonly #inQueue: NetworksParts['inQueue']
  /** What this host, as a swarm's leader, has chosen for networks that no node has created yet. */
  readonly #allocated = new Map<string, KnownOverlay>()

  constructor({ driver, store, vnis, enginePools, inQueue }: NetworksParts) {
    this.#parts = driver
    this.#store = store
    this.#vnis = vnis
    this.#enginePools = enginePools
    this.#inQueue = inQueue
  }

  /**
   * CreateNetwork: claims a VNI, then stores and publishes the network, without the kernel. A
   * repeated call with the same content succeeds; another with the same id is refused.
   */
  async create(request: CreateNetworkRequest): Promise<void> {
    if (this.#isPresent(request)) return
    if (!isEngines(request)) return this.#create(request)
    const pools = request.pools.map(({ pool }) => pool)
    return this.#enginePools.claim(pools, (ranges) => this.#create(request, ranges))
  }

  async #create(request: CreateNetworkRequest, ranges?: readonly Cidr[]): Promise<void> {
    const { vni: wanted, encrypted } = parseNetworkOptions(request.options)
    const { vni, ...network } = await this.#describe(request, ranges)
    if (encrypted) await this.#parts.ensureEncryption()
    const known = this.#knownOverlays(request.networkId)
    const write = (agreed: Vni): Promise<void> =>
      this.#inQueue(() => this.#write(request, { ...network, vni: agreed }))
    const { overlayId } = network
    const others = known.filter((overlay) => overlay.overlayId !== overlayId)
    const avoid = others.map((overlay) => overlay.vni)
    if (isSwarmId(request.networkId)) return write(vni ?? this.#freeVni(known))
    const start = vni === null ? this.#parts.random.uint32() : searchFrom(vni)
    return this.#vnis.claim({ overlayId, encrypted, vni: wanted, start, avoid }, write)
  }

  /** DeleteNetwork. An unknown network is no error. */
  async delete(networkId: string): Promise<void> {
    const network = this.#store.network(networkId)
    if (network === undefined) return
    const { cluster, pools, dataplane, logger } = this.#parts
    for (const key of network.poolKeys) await pools.unbindPool(key, networkId)
    const claims = this.#store.endpoints(networkId).map((e) => endpointClaim(network, e))
    const requested = pools
      .requestedPools()
      .filter(({ poolKey }) => network.poolKeys.includes(poolKey))
    const isAdded = ({ poolKey }: RequestedPool): boolean =>
      network.added?.includes(parsePoolKey(poolKey)!.cidr) === true
    const dangling = requested.filter((pool) => !isAdded(pool))
    // The disk first: if that fails, the network is still whole; an unknown overlay is removed at a
    // start.
    await this.#store.removeNetwork(
      networkId,
      new Map(dangling.map(({ poolKey, since }) => [poolKey, since])),
    )
    for (const claim of claims) cluster.removeEndpoint(claim)
    cluster.removeOverlay(network.overlayId)
    for (const { poolKey } of requested.filter(isAdded)) await pools.releasePool(poolKey)
    // The engine forgets the network whatever we answer; the data plane retries.
    await attempt(
      () => dataplane.detachOverlay(network.overlayId),
      (message) => logger.warn(`network ${shortId(networkId)}: ${message}; trying again`),
    )
    this.#parts.networksChanged()
    logger.info('network deleted', { event: 'network-deleted', network: shortId(networkId) })
  }

  /**
   * The id of the one network that it is a prefix of. Refuses none, several, and one with
   * endpoints.
   */
  unusedNetwork(prefix: string): string {
    const [network, ...more] = this.#store
      .networks()
      .filter(({ networkId }) => networkId.startsWith(prefix))
    if (network === undefined || more.length > 0)
      throw refusal(
        'NETWORK_NOT_FOUND',
        `no or more than one network of this host has an id that begins with "${prefix}"`,
      )
    const { networkId } = network
    const { length } = this.#store.endpoints(networkId)
    if (length === 0) return networkId
    throw refusal(
      'NETWORK_EXISTS',
      `network ${shortId(networkId)} has ${length} endpoints on this host; remove their containers first`,
    )
  }

  /**
   * AllocateNetwork: the options that every node of a swarm gets with CreateNetwork, the user's and
   * the VNI, so that no two nodes choose for themselves. Refuses what a node would refuse.
   */
  async allocate(request: AllocateNetworkRequest): Promise<Readonly<Record<string, string>>> {
    const { networkId, options } = request
    const asked = parseNetworkOptions(options)
    const wanted = {
      ...asked,
      overlayId: asked.overlay ?? networkId,
      pools: request.pools.map(({ pool }) => pool),
      mtuHere: await this.#parts.mtuHere(asked.encrypted),
      hosts: this.#parts.cluster.hosts(),
    }
    const others = [...this.#allocated].filter(([id]) => id !== networkId)
    // This host may have created it already: swarm allocates again when its leader starts.
    const known = [...this.#knownOverlays(), ...others.map(([, overlayOf]) => overlayOf)]
    const chosen = chooseOverlayParameters(wanted, known)
    const before = this.#allocated.get(networkId)?.vni
    const claim = { ...wanted, ...chosen, vni: chosen.vni ?? before ?? this.#freeVni(known) }
    this.#allocated.set(networkId, { ...claim, member: this.#parts.cluster.self })
    return asked.vni === null ? { ...options, vni: `${claim.vni}` } : options
  }

  /** FreeNetwork. */
  free(networkId: string): void {
    this.#allocated.delete(networkId)
  }

  /** Gives a network without endpoints another VNI. In its queue. */
  async changeVni(before: Network, vni: Vni): Promise<void> {
    const { cluster, dataplane, logger } = this.#parts
    const network = { ...before, vni }
    await dataplane.detachOverlay(network.overlayId)
    await this.#store.putNetwork(network)
    cluster.putOverlay(overlayClaim(network))
    logger.info('network has another VNI', { network: shortId(network.networkId), vni })
  }

  /** Whether the network exists as requested; refuses one that exists otherwise. */
  #isPresent(request: CreateNetworkRequest): boolean {
    const present = this.#store.network(request.networkId)
    if (present === undefined || isSameRequest(present, request)) return present !== undefined
    throw refusal(
      'NETWORK_EXISTS',
      `network ${shortId(request.networkId)} exists with other options; remove it first`,
    )
  }

  async #write(request: CreateNetworkRequest, network: Network): Promise<void> {
    const { cluster, pools, logger } = this.#parts
    if (this.#isPresent(request)) return
    this.#refuseSecond(network.overlayId, network.networkId)
    // Published first: what does not fit into a record is refused before anything is written.
    cluster.putOverlay(overlayClaim(network))
    try {
      for (const key of network.poolKeys) await pools.bindPool(key, network.networkId)
      await this.#store.putNetwork(network)
    } catch (error) {
      cluster.removeOverlay(network.overlayId)
      throw error
    }
    const { overlayId, vni, mtu } = network
    this.#parts.networksChanged()
    const fields = { network: shortId(network.networkId), overlayId, vni, mtu }
    logger.info('network created', { event: 'network-created', ...fields })
  }

  /** The network as requested; its VNI is null where no member has published one. */
  async #describe(
    request: CreateNetworkRequest,
    ranges: readonly Cidr[] | undefined,
  ): Promise<Omit<Network, 'vni'> & { vni: Vni | null }> {
    const { networkId, internal, options } = request
    const asked = parseNetworkOptions(options)
    const { overlay, vni: wanted, mtu: wantedMtu, encrypted, multicast } = asked
    const pools = request.pools.map(({ pool }) => pool)
    const poolKeys = request.pools
      .map(({ addressSpace, pool }) => this.#parts.pools.poolFor(addressSpace, pool, overlay))
      .filter((key) => key !== null)
    const others = [...this.#parts.cluster.overlays()]
    const key = ranges === undefined ? overlayOfPools(poolKeys, others) : enginePoolKey(pools[0]!)
    const ownName = isSwarmId(networkId) ? networkId : key
    const overlayId = overlay ?? ownName ?? refuseForeignPools()
    this.#refuseSecond(overlayId, networkId)
    for (const other of others) refuseSharedPool({ overlayId, poolKeys }, other)
    const mtuHere = await this.#parts.mtuHere(encrypted)
    const how = { encrypted, multicast }
    const hosts = this.#parts.cluster.hosts()
    const { vni, mtu } = chooseOverlayParameters(
      { ...how, overlayId, vni: wanted, mtu: wantedMtu, pools, mtuHere, hosts },
      this.#knownOverlays(networkId),
    )
    const fault = mtuFault(overlayId, mtu, mtuHere)
    if (fault !== null) this.#parts.logger.warn(fault)
    const gateways = gatewaysOf(request)
    const as = { internal, options, ...how }
    return { networkId, overlayId, vni, mtu, pools, gateways, poolKeys, ranges, ...as }
  }

  #freeVni(known: readonly KnownOverlay[]): Vni {
    const taken = new Set(known.map((overlay) => overlay.vni))
    const vni = freeVni(this.#parts.random.uint32(), (candidate) => taken.has(candidate))
    if (vni !== null) return vni
    throw refusal('VNI_IN_USE', 'all VNIs are in use; remove overlays that are not needed')
  }

  #refuseSecond(overlayId: string, networkId: string): void {
    const other = this.#store.networkOfOverlay(overlayId)
    if (other === undefined || other.networkId === networkId) return
    throw refusal(
      'OVERLAY_CONFLICT',
      `network ${shortId(other.networkId)} on this host already attaches to overlay "${overlayId}"; ` +
        'use that one, or keep them apart with --ipam-opt overlay=NAME and -o overlay=NAME; ' +
        `if "docker network ls" does not have it, DELETE /networks/${shortId(other.networkId)} (see README) removes it`,
    )
  }

  /** The overlays of all other members, and of this host's networks but one. */
  #knownOverlays(except?: string): KnownOverlay[] {
    const { cluster } = this.#parts
    const networks = this.#store.networks().filter(({ networkId }) => networkId !== except)
    return [
      ...cluster.overlays(),
      ...networks.map((network) => ({ ...overlayClaim(network), member: cluster.self })),
    ]
  }
}

function isSameRequest(present: Network, request: CreateNetworkRequest): boolean {
  const { options, internal } = present
  const { pools, gateways } = engineSubnets(present)
  return isDeepStrictEqual(
    { options, internal, pools, gateways },
    {
      options: request.options,
      internal: request.internal,
      pools: request.pools.map(({ pool }) => pool),
      gateways: gatewaysOf(request),
    },
  )
}

function gatewaysOf({ pools }: CreateNetworkRequest): string[] {
  return pools.flatMap(({ gateway, pool }) =>
    gateway === null ? [] : [ipWithLength(gateway.ip, pool)],
  )
}
