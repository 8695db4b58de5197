import { KeyedQueue } from '../base/keyed-queue.ts'
import { isBug, messageOf } from '../base/errors.ts'
import type { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import { NetworkStore } from './network-store.ts'
import {
  type CreateNetworkRequest,
  createNetwork,
  knownOverlays,
  unusedNetwork,
} from './networks.ts'
import {
  type CreateEndpointRequest,
  type JoinRequest,
  createEndpoint,
  deleteEndpoint,
  join,
  leave,
} from './endpoints.ts'
import { withdrawIdle } from './shutdown.ts'
import { DelayedTeardown } from './delayed-teardown.ts'
import { type Endpoint, type Network, endpointClaim, shortId } from './network.ts'
import { takeSnapshot, releaseOrphan } from './orphan-care.ts'
import { findOrphans } from './orphan-rules.ts'
import { type OrphanStatus, OrphanCollector } from './orphans.ts'
import type { DriverParts } from './ports.ts'
import { NetworkRestorer } from './restore.ts'
import { SwarmAllocations } from './swarm.ts'
import {
  type InconsistencyStatus,
  type OverlayChange,
  ConsistencyCheck,
} from './consistency-check.ts'

/** The queue of creating and removing networks. No id of the engine's has a space. */
const networksKey = 'all networks'

/**
 * The driver room: the story of a network and of an endpoint, from create to delete, as libnetwork
 * tells it.
 *
 * Its invariant: what the engine was told is on disk before it was told, and everything the kernel and
 * the cluster hold for this host follows from the books. The engine repeats calls, leaves some out and
 * forgets objects, so every call can come twice, and every teardown can be for something unknown.
 * One queue per network keeps its calls in order; creating and removing networks is one more queue,
 * because overlays and VNIs are agreed on between networks.
 *
 * It may not call the engine, wait for another member, or fail because one is away. Only the address management may wait for
 * others, and says for what and how long (`ipam/waiting.ts`).
 */
export class Driver {
  readonly #parts: DriverParts
  readonly #books: NetworkStore
  readonly #queue = new KeyedQueue()
  readonly #lingering: DelayedTeardown
  readonly #orphans: OrphanCollector
  readonly #restore: NetworkRestorer
  readonly #watch: ConsistencyCheck
  readonly #swarm = new SwarmAllocations()

  constructor(parts: DriverParts) {
    this.#parts = parts
    this.#books = new NetworkStore(parts.store)
    this.#orphans = this.#newOrphans()
    this.#restore = new NetworkRestorer(parts, this.#books, this.#queue)
    this.#watch = new ConsistencyCheck(parts, this.#books)
    this.#lingering = new DelayedTeardown(
      parts.clock,
      (networkId) => void this.#removeIdle(networkId),
    )
  }

  /** Takes over what the kernel still has from before, and tells the cluster. */
  async start(): Promise<void> {
    await this.#restore.run()
    this.#orphans.start()
  }

  /** Before `stop`: gives up what nothing is behind any more. Whether any container goes on without us. */
  async withdrawIdle(): Promise<boolean> {
    this.#restore.stop()
    await this.#orphans.stop()
    await this.#queue.idle()
    return withdrawIdle(this.#parts, this.#books)
  }

  /** Ends what runs or waits. Overlays without endpoints go now. */
  async stop(): Promise<void> {
    this.#watch.stop()
    this.#restore.stop()
    await this.#orphans.stop()
    await Promise.all(this.#lingering.cancelAll().map((networkId) => this.#removeIdle(networkId)))
    await this.#queue.idle()
  }

  createNetwork(request: CreateNetworkRequest): Promise<void> {
    return this.#networks(() => createNetwork(this.#parts, this.#books, request)).finally(() =>
      this.#watch.changed(),
    )
  }

  deleteNetwork(networkId: string): Promise<void> {
    return this.#networks(() => this.#queue.run(networkId, () => this.#deleteNetwork(networkId)))
  }

  /**
   * Removes a network that the engine does not have: the call that made it was given up, or the engine died
   * before it wrote it down. `id` is its id, or the beginning of it. Refuses one with endpoints.
   * @returns its id.
   */
  dropNetwork(id: string): Promise<string> {
    return this.#networks(async () => {
      const { networkId } = unusedNetwork(this.#books, id)
      await this.#queue.run(networkId, () => this.#deleteNetwork(networkId))
      return networkId
    })
  }

  createEndpoint(request: CreateEndpointRequest): Promise<{ mac: Mac | null }> {
    return this.#queue.run(request.networkId, () =>
      createEndpoint(this.#parts, this.#books, request),
    )
  }

  join(request: JoinRequest): Promise<{ sourceName: string; prefix: string }> {
    const { networkId } = request
    return this.#queue.run(networkId, async () => {
      try {
        return await join(this.#parts, this.#books, request)
      } finally {
        // The engine may never come back to an endpoint whose join failed.
        this.#lingerIfIdle(networkId)
        this.#watch.changed()
      }
    })
  }

  leave(networkId: string, endpointId: string): Promise<void> {
    return this.#queue.run(networkId, () => leave(this.#parts, this.#books, networkId, endpointId))
  }

  deleteEndpoint(networkId: string, endpointId: string): Promise<void> {
    return this.#queue.run(networkId, async () => {
      await deleteEndpoint(this.#parts, this.#books, networkId, endpointId)
      this.#lingerIfIdle(networkId)
    })
  }

  /**
   * Whether an endpoint of this host has the address of that pool. The engine deletes an endpoint before
   * it releases its addresses, so a release that comes earlier is of an endpoint that is long gone.
   */
  hasAddress(poolKey: string, ip: Ip): boolean {
    return this.#books.hasAddress(poolKey, ip)
  }

  /** Swarm's leader asks what all nodes need to know of a network: its options, and the VNI. */
  allocateNetwork(
    request: Pick<CreateNetworkRequest, 'networkId' | 'options' | 'pools'>,
  ): Promise<Readonly<Record<string, string>>> {
    return this.#networks(async () => {
      // With our own part in it, if there is one: swarm asks again when it starts.
      const known = knownOverlays(this.#parts, this.#books)
      const mtu = await this.#parts.mtuHere()
      return this.#swarm.allocate(request, { known, mtu, member: this.#parts.cluster.self })
    })
  }

  async freeNetwork(networkId: string): Promise<void> {
    this.#swarm.free(networkId)
  }

  /** Swarm tells of its nodes; our members find each other. */
  discover(address: Ip, _self: boolean, present: boolean): void {
    this.#parts.logger.debug('swarm node', { address, present })
  }

  /** Live members' endpoints are not what they were, nor these of their overlays. */
  overlaysChanged(overlays: readonly OverlayChange[]): void {
    this.#watch.changed(overlays)
  }

  /** For `/status`: what this host and another member hold and cannot both have. */
  inconsistencies(): InconsistencyStatus {
    return this.#watch.status()
  }

  /** For `/status`. */
  orphans(): OrphanStatus {
    return this.#orphans.status()
  }

  /** The networks of this host, without their endpoints. */
  networks(): Network[] {
    return this.#books.networks()
  }

  /** For `/status`. */
  networksWithEndpoints(): { network: Network; endpoints: Endpoint[] }[] {
    return this.#books
      .networks()
      .map((network) => ({ network, endpoints: this.#books.endpointsOf(network.networkId) }))
  }

  async #deleteNetwork(networkId: string): Promise<void> {
    const network = this.#books.network(networkId)
    if (network === undefined) return
    this.#lingering.cancel(networkId)
    for (const key of network.poolKeys) await this.#parts.pools.unbindPool(key, networkId)
    const claims = this.#books.endpointsOf(networkId).map((e) => endpointClaim(network, e))
    const held = this.#parts.pools
      .requestedPools()
      .filter(({ poolKey }) => network.poolKeys.includes(poolKey))
    const left = new Map(held.map(({ poolKey, since }) => [poolKey, since]))
    // The disk first: when it refuses, the network is still whole, and what is in no book is removed at a start.
    await this.#books.removeNetwork(networkId, left)
    for (const claim of claims) this.#parts.cluster.removeEndpoint(claim)
    this.#parts.cluster.removeOverlay(network.overlayId)
    // The engine forgets the network whatever we answer; the data plane goes on trying.
    await this.#parts.dataplane.detachOverlay(network.overlayId).catch((error: unknown) => {
      if (isBug(error)) throw error
      this.#parts.logger.warn(`network ${shortId(networkId)}: ${messageOf(error)}; trying again`)
    })
    this.#parts.logger.info('network deleted', { network: shortId(networkId) })
  }

  #newOrphans(): OrphanCollector {
    const [parts, books] = [this.#parts, this.#books]
    const care = {
      parts,
      books,
      queue: this.#queue,
      amongNetworks: (task: () => Promise<boolean>) => this.#networks(task),
      deleteNetwork: (networkId: string) => this.#deleteNetwork(networkId),
      onEndpointReleased: (networkId: string) => this.#lingerIfIdle(networkId),
    }
    return new OrphanCollector({
      clock: parts.clock,
      logger: parts.logger,
      graceMs: parts.orphanGraceMs,
      find: async () => findOrphans(await takeSnapshot(parts, books)),
      release: (orphan) => releaseOrphan(care, orphan),
    })
  }

  #lingerIfIdle(networkId: string): void {
    if (this.#isIdle(networkId)) this.#lingering.schedule(networkId)
  }

  #isIdle(networkId: string): boolean {
    return !this.#books.endpointsOf(networkId).some((endpoint) => endpoint.joined)
  }

  /** Removes the overlay of a network that still has no endpoint; the queue decides what still means. */
  #removeIdle(networkId: string): Promise<void> {
    return this.#queue.run(networkId, async () => {
      const network = this.#books.network(networkId)
      if (network === undefined || !this.#isIdle(networkId)) return
      try {
        await this.#parts.dataplane.detachOverlay(network.overlayId)
      } catch (error) {
        if (isBug(error)) throw error
        this.#parts.logger.warn(`removing idle overlay: ${messageOf(error)}; trying again`)
        this.#lingering.schedule(networkId)
      }
    })
  }

  #networks<T>(task: () => Promise<T>): Promise<T> {
    return this.#queue.run(networksKey, task)
  }
}
