import { messageOf } from '../base/errors.ts'
import type { Books } from './books.ts'
import { linkOf, linksOf } from './endpoint-story.ts'
import { type Network, endpointClaim, overlayClaim } from './network.ts'
import type { DriverParts, LinkPlace } from './ports.ts'

/**
 * Coming back after the plugin was away. The engine replays nothing, so the books say which networks
 * and endpoints there are, and the kernel says which of them still have links: those are taken over as
 * they are. What is ours in the kernel and in no book is removed.
 */
export async function restore(parts: DriverParts, books: Books): Promise<void> {
  const wanted = new Set(books.networks().map((network) => network.overlayId))
  for (const overlayId of await parts.wires.overlaysPresent())
    if (!wanted.has(overlayId)) await attempt(parts, () => parts.wires.detachOverlay(overlayId))
  for (const network of books.networks()) {
    parts.cluster.putOverlay(overlayClaim(network))
    await attempt(parts, () => restoreNetwork(parts, books, network))
  }
}

async function restoreNetwork(parts: DriverParts, books: Books, network: Network): Promise<void> {
  const { overlayId } = network
  const present = await parts.wires.endpointsPresent(overlayId)
  if (present === null) return forgetLinks(books, network, new Map())
  await forgetLinks(books, network, present)
  const adopted = books
    .endpointsOf(network.networkId)
    .filter((endpoint) => present.has(endpoint.endpointId))
  if (adopted.length === 0) return parts.wires.detachOverlay(overlayId)
  await parts.wires.attachOverlay(linksOf(parts, network))
  for (const endpoint of adopted) {
    await parts.wires.attachEndpoint(overlayId, linkOf(network, endpoint))
    parts.cluster.putEndpoint(endpointClaim(network, endpoint))
  }
}

/** Endpoints whose link is gone are not joined any more; the engine will delete them in its own time. */
async function forgetLinks(
  books: Books,
  network: Network,
  present: ReadonlyMap<string, LinkPlace>,
): Promise<void> {
  for (const endpoint of books.endpointsOf(network.networkId))
    if (endpoint.joined && !present.has(endpoint.endpointId))
      await books.putEndpoint({ ...endpoint, joined: false })
}

/** One overlay that cannot be restored must not keep the others, or the engine, waiting. */
async function attempt(parts: DriverParts, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    parts.logger.warn(`restoring after a start: ${messageOf(error)}`)
  }
}
