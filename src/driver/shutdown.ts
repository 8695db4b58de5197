import type { NetworkStore } from './network-store.ts'
import { linksPresent } from './links-present.ts'
import { type Endpoint, endpointClaim } from './network.ts'
import type { DriverParts, LinkLocation } from './ports.ts'

/**
 * Before the plugin stops: withdraws the claims of endpoints that nothing is behind any more, because the
 * engine stopped their containers and has not said so yet. What is claimed now stays claimed while we
 * are away. @returns whether any container goes on.
 */
export async function withdrawIdle(parts: DriverParts, books: NetworkStore): Promise<boolean> {
  let serving = false
  for (const network of books.networks()) {
    const links = await linksPresent(parts, network, 'before stopping')
    for (const endpoint of books.endpointsOf(network.networkId)) {
      if (endpoint.joined && isServing(endpoint, links)) serving = true
      else parts.cluster.removeEndpoint(endpointClaim(network, endpoint))
    }
  }
  return serving
}

/** When the kernel cannot be asked, the endpoint may well be. */
function isServing(endpoint: Endpoint, links: ReadonlyMap<string, LinkLocation> | null): boolean {
  return links === null || links.get(endpoint.endpointId) === 'sandbox'
}
