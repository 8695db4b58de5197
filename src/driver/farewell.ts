import { isBug, messageOf } from '../base/errors.ts'
import type { Books } from './books.ts'
import { type Endpoint, type Network, endpointClaim } from './network.ts'
import type { DriverParts, LinkPlace } from './ports.ts'

/**
 * Before the plugin stops: withdraws the claims of endpoints that nothing is behind any more, because the
 * engine stopped their containers and has not said so yet. What is claimed now stays claimed while we
 * are away. @returns whether any container goes on.
 */
export async function withdrawIdle(parts: DriverParts, books: Books): Promise<boolean> {
  let serving = false
  for (const network of books.networks()) {
    const links = await linksOf(parts, network)
    for (const endpoint of books.endpointsOf(network.networkId)) {
      if (endpoint.joined && isServing(endpoint, links)) serving = true
      else parts.cluster.removeEndpoint(endpointClaim(network, endpoint))
    }
  }
  return serving
}

/** When the kernel cannot be asked, the endpoint may well be. */
function isServing(endpoint: Endpoint, links: ReadonlyMap<string, LinkPlace> | 'unknown'): boolean {
  return links === 'unknown' || links.get(endpoint.endpointId) === 'taken'
}

async function linksOf(
  parts: DriverParts,
  network: Network,
): Promise<ReadonlyMap<string, LinkPlace> | 'unknown'> {
  try {
    return (await parts.wires.endpointsPresent(network.overlayId)) ?? new Map()
  } catch (error) {
    if (isBug(error)) throw error
    parts.logger.warn(`before stopping: ${messageOf(error)}`)
    return 'unknown'
  }
}
