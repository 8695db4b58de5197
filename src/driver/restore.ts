import { type Backoff, backoffMs } from '../base/backoff.ts'
import type { Timer } from '../base/clock.ts'
import { isBug, messageOf } from '../base/errors.ts'
import type { KeyedQueue } from '../base/keyed-queue.ts'
import type { NetworkStore } from './network-store.ts'
import { linkOf, linksOf } from './endpoints.ts'
import { type Endpoint, type Network, endpointClaim, overlayClaim } from './network.ts'
import { mtuFault } from './overlay-parameters.ts'
import type { DriverParts, LinkLocation } from './ports.ts'

/** How soon what could not be restored is tried again. */
const restoreRetry: Backoff = { firstMs: 1000, maxMs: 30_000 }

/**
 * Coming back after the plugin was away. The engine replays nothing, so the books say which networks
 * and endpoints there are, and the kernel says which of them still have links: those are taken over as
 * they are. What is ours in the kernel and in no book is removed. One overlay that cannot be restored must
 * not keep the others, or the engine, waiting: it is tried again in the background.
 */
export class NetworkRestorer {
  readonly #parts: DriverParts
  readonly #books: NetworkStore
  readonly #queue: KeyedQueue
  #timer: Timer | null = null

  constructor(parts: DriverParts, books: NetworkStore, queue: KeyedQueue) {
    this.#parts = parts
    this.#books = books
    this.#queue = queue
  }

  async run(): Promise<void> {
    const networks = this.#books.networks()
    await this.#attempt(() => this.#removeUnknown(networks))
    await warnOfMtus(this.#parts, networks)
    await this.#restore(networks.map(({ networkId }) => networkId))
  }

  /** When it fails the data plane goes on trying by itself, or the next start does. */
  async #removeUnknown(networks: readonly Network[]): Promise<void> {
    const { dataplane } = this.#parts
    const wanted = new Set(networks.map((network) => network.overlayId))
    for (const overlayId of await dataplane.overlays())
      if (!wanted.has(overlayId)) await this.#attempt(() => dataplane.detachOverlay(overlayId))
  }

  stop(): void {
    if (this.#timer !== null) this.#parts.clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  async #restore(networkIds: readonly string[], failuresBefore = 0): Promise<void> {
    // Side by side, so that what they write shares a sync of the disk: the engine is about to dial.
    const done = await Promise.all(
      networkIds.map((networkId) =>
        this.#attempt(() =>
          this.#queue.run(networkId, () => restoreNetwork(this.#parts, this.#books, networkId)),
        ),
      ),
    )
    const failed = networkIds.filter((_, i) => !done[i])
    if (failed.length === 0) return
    this.#timer = this.#parts.clock.setTimeout(
      () => void this.#restore(failed, failuresBefore + 1),
      backoffMs(restoreRetry, failuresBefore),
    )
  }

  /** Whether it succeeded. */
  async #attempt(work: () => Promise<void>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      if (isBug(error)) throw error
      this.#parts.logger.warn(`restoring after a start: ${messageOf(error)}`)
      return false
    }
  }
}

/** The network between the hosts may have changed meanwhile; overlays keep the MTU that their containers have. */
async function warnOfMtus(parts: DriverParts, networks: readonly Network[]): Promise<void> {
  // At boot that network may not be there yet.
  const mtuHere = await parts.mtuHere().catch(() => Infinity)
  for (const { overlayId, mtu } of networks) {
    const fault = mtuFault(overlayId, mtu, mtuHere)
    if (fault !== null) parts.logger.warn(fault)
  }
}

async function restoreNetwork(
  parts: DriverParts,
  books: NetworkStore,
  networkId: string,
): Promise<void> {
  const network = books.network(networkId)
  if (network === undefined) return
  const { overlayId } = network
  parts.cluster.putOverlay(overlayClaim(network))
  const present = await linksThere(parts, books, network)
  await forgetLinks(books, network, present)
  const adopted = books
    .endpointsOf(network.networkId)
    .filter((endpoint) => present.has(endpoint.endpointId))
  if (adopted.length === 0) return parts.dataplane.detachOverlay(overlayId)
  claim(parts, network, adopted)
  await parts.dataplane.attachOverlay(linksOf(parts, network))
  for (const endpoint of adopted)
    await parts.dataplane.attachEndpoint(overlayId, linkOf(network, endpoint))
}

/** When the kernel cannot be read, what was joined is claimed all the same: its traffic may go on. */
async function linksThere(
  parts: DriverParts,
  books: NetworkStore,
  network: Network,
): Promise<ReadonlyMap<string, LinkLocation>> {
  try {
    return await parts.dataplane.linkLocations(network.overlayId)
  } catch (error) {
    claim(parts, network, books.endpointsOf(network.networkId))
    throw error
  }
}

/** What was left and is not deleted yet has a link and no claim. */
function claim(parts: DriverParts, network: Network, endpoints: readonly Endpoint[]): void {
  for (const endpoint of endpoints)
    if (endpoint.joined) parts.cluster.putEndpoint(endpointClaim(network, endpoint))
}

/** Endpoints whose link is gone are not joined any more; the engine will delete them in its own time. */
async function forgetLinks(
  books: NetworkStore,
  network: Network,
  present: ReadonlyMap<string, LinkLocation>,
): Promise<void> {
  const gone = books
    .endpointsOf(network.networkId)
    .filter((endpoint) => endpoint.joined && !present.has(endpoint.endpointId))
  if (gone.length > 0)
    await books.putEndpoints(gone.map((endpoint) => ({ ...endpoint, joined: false })))
}
