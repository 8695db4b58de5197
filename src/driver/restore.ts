import { attempt } from '../base/errors.ts'
import type { KeyedQueue } from '../base/keyed-queue.ts'
import { type Backoff, backoffMs, Timeout } from '../base/timers.ts'
import { endpointLink, overlayLinks } from './endpoints.ts'
import { type Endpoint, type Network, endpointClaim, overlayClaim } from './network-store.ts'
import type { NetworkStore } from './network-store.ts'
import { mtuFault } from './overlay-parameters.ts'
import type { DriverParts, LinkLocation } from './ports.ts'

const restoreRetry: Backoff = { firstMs: 1000, maxMs: 30_000 }

/**
 * Restores networks and endpoints at the start. The engine replays nothing, so the store says which
 * there are, and the kernel says which of them still have links: these are adopted. Overlays of
 * ours in the kernel that the store does not have are removed. An overlay that cannot be restored
 * must not block the others, or the engine: it is retried in the background.
 */
export class NetworkRestorer {
  readonly #parts: DriverParts
  readonly #store: NetworkStore
  readonly #queue: KeyedQueue
  readonly #retry: Timeout
  /** The networks that could not be restored yet. */
  #failed: readonly string[] = []
  #failures = 0

  constructor(parts: DriverParts, store: NetworkStore, queue: KeyedQueue) {
    this.#parts = parts
    this.#store = store
    this.#queue = queue
    this.#retry = new Timeout(parts.clock, () => void this.#restore(this.#failed))
  }

  async run(): Promise<void> {
    const networks = this.#store.networks()
    await this.#attempt(() => this.#removeUnknown(networks))
    await this.#warnOfMtus(networks)
    await this.#restore(networks.map(({ networkId }) => networkId))
  }

  stop(): void {
    this.#retry.stop()
  }

  /** After a failure the data plane retries by itself, or the next start does. */
  async #removeUnknown(networks: readonly Network[]): Promise<void> {
    const { dataplane } = this.#parts
    const known = new Set(networks.map((network) => network.overlayId))
    for (const overlayId of await dataplane.overlays())
      if (!known.has(overlayId)) await this.#attempt(() => dataplane.detachOverlay(overlayId))
  }

  /** The underlay may have changed; overlays keep the MTU that their containers have. */
  async #warnOfMtus(networks: readonly Network[]): Promise<void> {
    const { mtuHere, logger } = this.#parts
    // At boot the underlay may not be up yet.
    for (const network of networks) {
      const mtu = await mtuHere(network.encrypted).catch(() => Infinity)
      const fault = mtuFault(network.overlayId, network.mtu, mtu)
      if (fault !== null) logger.warn(fault)
    }
  }

  async #restore(networkIds: readonly string[]): Promise<void> {
    // In parallel, so that their writes share a sync of the disk: the engine is about to dial.
    const done = await Promise.all(
      networkIds.map((networkId) =>
        this.#attempt(() => this.#queue.run(networkId, () => this.#restoreNetwork(networkId))),
      ),
    )
    this.#failed = networkIds.filter((_, i) => !done[i])
    if (this.#failed.length > 0) this.#retry.set(backoffMs(restoreRetry, this.#failures++))
  }

  /** @returns whether it succeeded. */
  async #attempt(work: () => Promise<void>): Promise<boolean> {
    return attempt(
      async () => {
        await work()
        return true
      },
      (message) => {
        this.#parts.logger.warn(`restoring after a start: ${message}`)
        return false
      },
    )
  }

  async #restoreNetwork(networkId: string): Promise<void> {
    const network = this.#store.network(networkId)
    if (network === undefined) return
    const { cluster, dataplane } = this.#parts
    const { overlayId } = network
    cluster.putOverlay(overlayClaim(network))
    const locations = await this.#locations(network)
    const endpoints = this.#store.endpoints(networkId)
    const adopted = endpoints.filter(({ endpointId }) => locations.has(endpointId))
    await this.#markUnjoined(endpoints.filter(({ endpointId }) => !locations.has(endpointId)))
    if (adopted.length === 0) return dataplane.detachOverlay(overlayId)
    this.#claim(network, adopted)
    await dataplane.attachOverlay(overlayLinks(this.#parts, network))
    for (const endpoint of adopted)
      await dataplane.attachEndpoint(overlayId, endpointLink(network, endpoint))
  }

  /**
   * When the kernel cannot be read, what was joined is claimed all the same: it may have traffic.
   */
  async #locations(network: Network): Promise<ReadonlyMap<string, LinkLocation>> {
    try {
      return await this.#parts.dataplane.linkLocations(network.overlayId)
    } catch (error) {
      this.#claim(network, this.#store.endpoints(network.networkId))
      throw error
    }
  }

  /** An endpoint that was left and is not deleted yet has a link and no claim. */
  #claim(network: Network, endpoints: readonly Endpoint[]): void {
    for (const endpoint of endpoints)
      if (endpoint.joined) this.#parts.cluster.putEndpoint(endpointClaim(network, endpoint))
  }

  /** Endpoints whose link is gone are not joined any more; the engine deletes them later. */
  async #markUnjoined(endpoints: readonly Endpoint[]): Promise<void> {
    const joined = endpoints.filter((endpoint) => endpoint.joined)
    if (joined.length > 0)
      await this.#store.putEndpoints(joined.map((endpoint) => ({ ...endpoint, joined: false })))
  }
}
