import { attempt } from '../base/errors.ts'
import { KeyedQueue } from '../base/keyed-queue.ts'
import type { Cidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import { AddedSubnets } from './added-subnets.ts'
import { AgreedVnis } from './agreed/agreed-vnis.ts'
import { ConsistencyCheck, type InconsistencyStatus, type OverlayChange } from './consistency.ts'
import { DelayedTeardown } from './delayed-teardown.ts'
import {
  type CreateEndpointRequest,
  Endpoints,
  type Joined,
  type JoinRequest,
} from './endpoints.ts'
import { EnginePools } from './agreed/engine-pools.ts'
import { type Endpoint, type Network, NetworkStore } from './network-store.ts'
import { type AllocateNetworkRequest, type CreateNetworkRequest, Networks } from './networks.ts'
import { OrphanCollector, type OrphanStatus } from './orphans/orphan-collector.ts'
import type { DriverParts } from './ports.ts'
import { NetworkRestorer } from './restore.ts'

/** The queue of creating and removing networks. No id of the engine's has a space. */
const networksKey = 'all networks'

/**
 * The network driver: networks and endpoints from create to delete, as libnetwork asks for them.
 *
 * Its invariant: what the engine was told is on disk before, and everything that the kernel and the
 * cluster have of this host follows from the store. The engine repeats calls, leaves some out and
 * forgets objects, so every call can come twice, and every teardown can be for something unknown.
 * One queue per network orders its calls; creating and removing networks is one more queue, since
 * an overlay is chosen among all networks.
 *
 * It may not call the engine, wait for another member, or fail because one is away, but for the VNI
 * of a new network, which the voters agree on within a bound.
 */
export class Driver {
  readonly #parts: DriverParts
  readonly #store: NetworkStore
  readonly #networks: Networks
  readonly #vnis: AgreedVnis
  readonly #subnets: AddedSubnets
  readonly #enginePools: EnginePools
  readonly #endpoints: Endpoints
  readonly #queue = new KeyedQueue()
  readonly #teardown: DelayedTeardown
  readonly #orphans: OrphanCollector
  readonly #restorer: NetworkRestorer
  readonly #consistency: ConsistencyCheck

  constructor(parts: DriverParts) {
    this.#parts = parts
    const store = new NetworkStore(parts.store)
    this.#store = store
    const inQueueOf = (networkId: string, task: () => Promise<void>): Promise<void> =>
      this.#queue.run(networkId, task)
    this.#subnets = new AddedSubnets(parts, store, inQueueOf)
    const enginePools = (this.#enginePools = new EnginePools(parts, store))
    this.#vnis = new AgreedVnis(parts, store, {
      compareMore: () => enginePools.compare(),
      inQueueOf,
      changeVni: async (network, vni) => {
        await this.#networks.changeVni(network, vni)
        this.#consistency.changed()
      },
    })
    const inQueue = (task: () => Promise<void>): Promise<void> => this.#inNetworksQueue(task)
    const vnis = this.#vnis
    this.#networks = new Networks({ driver: parts, store, vnis, enginePools, inQueue })
    this.#endpoints = new Endpoints(parts, store, enginePools)
    this.#orphans = new OrphanCollector({
      driver: parts,
      store,
      endpoints: this.#endpoints,
      queue: this.#queue,
      inNetworksQueue: (task) => this.#inNetworksQueue(task),
      deleteNetwork: (networkId) => this.#deleteNetwork(networkId),
      onEndpointReleased: (networkId) => this.#scheduleTeardown(networkId),
    })
    this.#restorer = new NetworkRestorer(parts, store, this.#queue)
    this.#consistency = new ConsistencyCheck(parts, store)
    this.#teardown = new DelayedTeardown(parts.clock, (networkId) => void this.#tearDown(networkId))
  }

  /** Adopts what the kernel still has from before, and publishes it. */
  async start(): Promise<void> {
    await this.#restorer.run()
    this.#orphans.start()
    this.#vnis.start()
    this.#subnets.changed()
  }

  /**
   * Before `stop`: withdraws the claims of endpoints whose container is gone.
   * @returns whether any container is still attached.
   */
  async withdrawIdle(): Promise<boolean> {
    this.#restorer.stop()
    await this.#orphans.stop()
    await this.#queue.idle()
    return this.#endpoints.withdrawIdle()
  }

  /** Ends what runs or waits. Overlays without endpoints are removed now. */
  async stop(): Promise<void> {
    this.#consistency.stop()
    this.#restorer.stop()
    await this.#subnets.stop()
    await this.#vnis.stop()
    await this.#orphans.stop()
    await Promise.all(this.#teardown.cancelAll().map((networkId) => this.#tearDown(networkId)))
    await this.#queue.idle()
  }

  createNetwork(request: CreateNetworkRequest): Promise<void> {
    return this.#networks.create(request).finally(() => {
      this.#subnets.changed()
      this.#consistency.changed()
    })
  }

  /** Adds a subnet to a network of this host, and so on all hosts; see `AddedSubnets`. */
  addSubnet(networkId: string, subnet: Cidr): Promise<void> {
    return this.#subnets.add(networkId, subnet).finally(() => this.#consistency.changed())
  }

  /**
   * Runs `create`, which asks this host's engine for a copy of a network whose addresses the
   * engines hand out, with what it may hand out of these pools. Refuses, or fails with QUORUM.
   */
  copyNetwork<T>(
    pools: readonly Cidr[],
    create: (ranges: readonly Cidr[]) => Promise<T>,
  ): Promise<T> {
    return this.#enginePools.copy(pools, create)
  }

  deleteNetwork(networkId: string): Promise<void> {
    return this.#inNetworksQueue(() =>
      this.#queue.run(networkId, () => this.#deleteNetwork(networkId)),
    )
  }

  /**
   * Removes a network that the engine does not have: the call that created it was given up, or the
   * engine died before it stored it. `id` is its id, or a prefix of it. Refuses one with endpoints.
   * @returns its id.
   */
  dropNetwork(id: string): Promise<string> {
    return this.#inNetworksQueue(async () => {
      const networkId = this.#networks.unusedNetwork(id)
      await this.#queue.run(networkId, () => this.#deleteNetwork(networkId))
      return networkId
    })
  }

  createEndpoint(request: CreateEndpointRequest): Promise<{ mac: Mac | null }> {
    return this.#queue.run(request.networkId, () => this.#endpoints.create(request))
  }

  join(request: JoinRequest): Promise<Joined> {
    const { networkId } = request
    return this.#queue.run(networkId, async () => {
      try {
        const joined = await this.#endpoints.join(request)
        await this.#parts.endpointsChanged()
        return joined
      } finally {
        // The engine may never come back to an endpoint whose join failed.
        this.#scheduleTeardown(networkId)
        this.#consistency.changed()
      }
    })
  }

  leave(networkId: string, endpointId: string): Promise<void> {
    return this.#queue.run(networkId, async () => {
      await this.#endpoints.leave(networkId, endpointId)
      await this.#parts.endpointsChanged()
    })
  }

  deleteEndpoint(networkId: string, endpointId: string): Promise<void> {
    return this.#queue.run(networkId, async () => {
      await this.#endpoints.delete(networkId, endpointId)
      await this.#parts.endpointsChanged()
      this.#scheduleTeardown(networkId)
    })
  }

  /**
   * Whether an endpoint of this host has the address of that pool. The engine deletes an endpoint
   * before it releases its addresses, so an earlier release is meant for an endpoint that is long
   * gone.
   */
  hasAddress(poolKey: string, ip: Ip): boolean {
    return this.#store.hasAddress(poolKey, ip)
  }

  /** On a swarm's leader: the options that all nodes get for a network, with its VNI. */
  allocateNetwork(request: AllocateNetworkRequest): Promise<Readonly<Record<string, string>>> {
    return this.#inNetworksQueue(() => this.#networks.allocate(request))
  }

  async freeNetwork(networkId: string): Promise<void> {
    this.#networks.free(networkId)
  }

  /** Swarm reports its nodes; our members find each other by gossip. */
  discover(address: Ip, _self: boolean, present: boolean): void {
    this.#parts.logger.debug('swarm node', { address, present })
  }

  /** Endpoints of live members changed, and these of their overlays. */
  overlaysChanged(overlays: readonly OverlayChange[]): void {
    this.#subnets.othersChanged(overlays.some(({ now }) => now?.added !== undefined))
    this.#consistency.changed(overlays)
  }

  /** For `/status`: inconsistencies between this host and other members. */
  inconsistencies(): InconsistencyStatus {
    return this.#consistency.status()
  }

  /** For `/status`. */
  orphans(): OrphanStatus {
    return this.#orphans.status()
  }

  /** The networks of this host, without their endpoints. */
  networks(): Network[] {
    return this.#store.networks()
  }

  /** For `/status`. */
  networksWithEndpoints(): { network: Network; endpoints: Endpoint[] }[] {
    return this.#store
      .networks()
      .map((network) => ({ network, endpoints: this.#store.endpoints(network.networkId) }))
  }

  async #deleteNetwork(networkId: string): Promise<void> {
    this.#teardown.cancel(networkId)
    await this.#networks.delete(networkId)
    this.#vnis.changed()
  }

  #scheduleTeardown(networkId: string): void {
    if (this.#isIdle(networkId)) this.#teardown.schedule(networkId)
  }

  #isIdle(networkId: string): boolean {
    return !this.#store.endpoints(networkId).some((endpoint) => endpoint.joined)
  }

  /**
   * Removes the overlay of a network that still has no endpoint when its turn in the queue comes.
   */
  #tearDown(networkId: string): Promise<void> {
    return this.#queue.run(networkId, async () => {
      const network = this.#store.network(networkId)
      if (network === undefined || !this.#isIdle(networkId)) return
      await attempt(
        () => this.#parts.dataplane.detachOverlay(network.overlayId),
        (message) => {
          this.#parts.logger.warn(`removing an idle overlay: ${message}; trying again`)
          this.#teardown.schedule(networkId)
        },
      )
    })
  }

  #inNetworksQueue<T>(task: () => Promise<T>): Promise<T> {
    return this.#queue.run(networksKey, task)
  }
}
