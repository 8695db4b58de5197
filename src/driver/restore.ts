import { messageOf } from '../base/errors.ts'
import type { Books } from './books.ts'
import { linksOf } from './endpoint-story.ts'
import { type Network, endpointClaim, overlayClaim } from './network.ts'
import type { DriverParts } from './ports.ts'

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
  const present = await parts.wires.endpointsPresent(network.overlayId)
  const endpoints = books.endpointsOf(network.networkId)
  for (const endpoint of endpoints) {
    if (present?.has(endpoint.endpointId))
      parts.cluster.putEndpoint(endpointClaim(network, endpoint))
    else if (endpoint.joined) await books.putEndpoint({ ...endpoint, joined: false })
  }
  if (present === null) return
  if (endpoints.some((endpoint) => present.has(endpoint.endpointId)))
    await parts.wires.attachOverlay(linksOf(parts, network))
  else await parts.wires.detachOverlay(network.overlayId)
}

/** One overlay that cannot be restored must not keep the others, or the engine, waiting. */
async function attempt(parts: DriverParts, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    parts.logger.warn(`restoring after a start: ${messageOf(error)}`)
  }
}
