import { isDeepStrictEqual } from 'node:util'
import { isBug, messageOf, refusal } from '../base/errors.ts'
import { type IpInCidr, ipWithLength } from '../net/cidr.ts'
import { type Mac, isMulticastMac } from '../net/mac.ts'
import type { NetworkStore } from './network-store.ts'
import { type Endpoint, type Network, endpointClaim, shortId } from './network.ts'
import type { DriverParts, Holder } from './ports.ts'
import { chooseMac, refuseGateway, refuseDuplicate } from './uniqueness.ts'

/** The engine's wish for an endpoint. */
export interface CreateEndpointRequest {
  readonly networkId: string
  readonly endpointId: string
  readonly addresses: readonly IpInCidr[]
  readonly mac: Mac | null
}

/** The engine's wish to plug an endpoint into a container. */
export interface JoinRequest {
  readonly networkId: string
  readonly endpointId: string
  /** The file of the container's namespace, which may not be there yet. */
  readonly sandboxKey?: string | null
}

const noMac = '00:00:00:00:00:00'
/** What every engine-made interface name inside a container starts with. */
const containerNamePrefix = 'eth'

/**
 * CreateEndpoint: the addresses are ours from here on. The claim goes out now and not at Join, so that
 * two hosts that want the same address at the same time see each other before either has a link.
 * Returns the MAC address when none was asked for: the engine takes only what it left empty.
 */
export async function createEndpoint(
  parts: DriverParts,
  books: NetworkStore,
  request: CreateEndpointRequest,
): Promise<{ mac: Mac | null }> {
  const network = networkOf(books, request.networkId)
  const endpoint = describe(parts, books, network, request)
  const present = books.endpoint(request.networkId, request.endpointId)
  if (present === undefined || !isDeepStrictEqual(present, endpoint)) {
    refuseDuplicate(parts, books, network, endpoint, () => true)
    await books.putEndpoint(endpoint)
  }
  parts.cluster.putEndpoint(endpointClaim(network, endpoint))
  return { mac: request.mac === null ? endpoint.mac : null }
}

/**
 * Join: builds what the container plugs into. For the network's first endpoint on this host that is
 * the overlay's namespace, bridge and VXLAN device with all known peers; then one veth pair.
 */
export async function join(
  parts: DriverParts,
  books: NetworkStore,
  { networkId, endpointId, sandboxKey = null }: JoinRequest,
): Promise<{ sourceName: string; prefix: string }> {
  const network = networkOf(books, networkId)
  const endpoint = books.endpoint(networkId, endpointId)
  if (endpoint === undefined)
    throw refusal(
      'ENDPOINT_NOT_FOUND',
      `endpoint ${shortId(endpointId)} of network ${shortId(networkId)} is not known here; ` +
        'start the container again',
    )
  const { claimedAt } = endpoint
  const earlier = (holder: Holder): boolean =>
    holder.claimedAt < claimedAt ||
    (holder.claimedAt === claimedAt && holder.origin < parts.cluster.self)
  refuseDuplicate(parts, books, network, endpoint, earlier)
  // First the disk, which may be full: then nothing is built.
  const joined = { ...endpoint, joined: true, sandboxKey }
  await books.putEndpoint(joined)
  const sourceName = await buildLinks(parts, network, joined).catch(async (error: unknown) => {
    await unbuild(parts, books, network, endpoint)
    throw error
  })
  parts.cluster.putEndpoint(endpointClaim(network, endpoint))
  return { sourceName, prefix: containerNamePrefix }
}

async function buildLinks(
  parts: DriverParts,
  network: Network,
  endpoint: Endpoint,
): Promise<string> {
  await parts.dataplane.attachOverlay(linksOf(parts, network))
  const link = linkOf(network, endpoint)
  const { sourceName } = await parts.dataplane.attachEndpoint(network.overlayId, link)
  return sourceName
}

/** A join that failed leaves things as they were. What cannot be undone now is an orphan, and found later. */
async function unbuild(
  parts: DriverParts,
  books: NetworkStore,
  network: Network,
  before: Endpoint,
): Promise<void> {
  if (before.joined) return
  try {
    await parts.dataplane.detachEndpoint(network.overlayId, before.endpointId)
    await books.putEndpoint(before)
  } catch (error) {
    if (isBug(error)) throw error
    parts.logger.warn(`undoing a join that failed: ${messageOf(error)}`)
  }
}

/** Leave: the container goes; the others may forget it. Its link is still in its sandbox. */
export async function leave(
  parts: DriverParts,
  books: NetworkStore,
  networkId: string,
  endpointId: string,
): Promise<void> {
  const network = books.network(networkId)
  const endpoint = books.endpoint(networkId, endpointId)
  if (network === undefined || endpoint === undefined) return
  parts.cluster.removeEndpoint(endpointClaim(network, endpoint))
  await books.putEndpoint({ ...endpoint, joined: false })
}

/**
 * DeleteEndpoint: takes the link away. Comes without a Leave after a failed Join, and for endpoints we
 * never heard of. The overlay's namespace is another matter: see `Lingering`.
 */
export async function deleteEndpoint(
  parts: DriverParts,
  books: NetworkStore,
  networkId: string,
  endpointId: string,
): Promise<void> {
  const network = books.network(networkId)
  const endpoint = books.endpoint(networkId, endpointId)
  if (network === undefined || endpoint === undefined) return
  parts.cluster.removeEndpoint(endpointClaim(network, endpoint))
  await parts.dataplane.detachEndpoint(network.overlayId, endpointId)
  await books.removeEndpoint(endpointId)
}

/** What the kernel must hold for a network's overlay. */
export function linksOf(parts: DriverParts, network: Network) {
  const { overlayId, vni, mtu, gateways } = network
  return { overlayId, vni, mtu, gateways, vtep: parts.vtep, port: parts.vxlanPort }
}

/** The link that a container plugs into. */
export function linkOf(network: Network, endpoint: Endpoint) {
  const { endpointId, mac, addresses, sandboxKey } = endpoint
  const [ips, texts] = [addresses.map(({ ip }) => ip), addresses.map(addressText)]
  const inside = sandboxKey ? { sandboxKey, addresses: texts } : undefined
  return { endpointId, mac, mtu: network.mtu, ips, inside }
}

const addressText = ({ ip, cidr }: IpInCidr): string => ipWithLength(ip, cidr)

function networkOf(books: NetworkStore, networkId: string): Network {
  const network = books.network(networkId)
  if (network !== undefined) return network
  throw refusal(
    'NETWORK_NOT_FOUND',
    `network ${shortId(networkId)} is not known to ts-overlay on this host; ` +
      'remove it with "docker network rm" and create it again',
  )
}

function describe(
  parts: DriverParts,
  books: NetworkStore,
  network: Network,
  request: CreateEndpointRequest,
): Endpoint {
  const first = request.addresses[0]
  if (first === undefined)
    throw refusal(
      'BAD_REQUEST',
      `endpoint ${shortId(request.endpointId)} has no address; ` +
        'create the network with --ipam-driver ts-overlay, or with an IPAM driver that gives one',
    )
  if (request.mac !== null && isMulticastMac(request.mac))
    throw refusal('BAD_REQUEST', `${request.mac} is a group address; give a unicast --mac-address`)
  if (request.mac === noMac)
    throw refusal('BAD_REQUEST', `${request.mac} stands for no address; give another --mac-address`)
  refuseGateway(network, request.addresses)
  const present = books.endpoint(network.networkId, request.endpointId)
  return {
    endpointId: request.endpointId,
    networkId: network.networkId,
    addresses: request.addresses,
    mac: request.mac ?? present?.mac ?? chooseMac(parts, books, network, first.ip),
    claimedAt: present?.claimedAt ?? Math.floor(parts.clock.wall() / 1000),
    joined: present?.joined ?? false,
    sandboxKey: present?.sandboxKey ?? null,
  }
}
