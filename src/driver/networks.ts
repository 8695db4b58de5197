import { isDeepStrictEqual } from 'node:util'
import { refusal } from '../base/errors.ts'
import { type Cidr, type IpInCidr, ipWithLength } from '../net/cidr.ts'
import type { NetworkStore } from './network-store.ts'
import { type Network, isSwarmId, overlayClaim, shortId } from './network.ts'
import { type NetworkOptions, parseNetworkOptions } from './options.ts'
import { type KnownOverlay, chooseOverlayParameters, mtuFault } from './overlay-parameters.ts'
import type { DriverParts } from './ports.ts'

/** One subnet of a network, as the engine describes it. */
interface NetworkPool {
  readonly addressSpace: string
  readonly pool: Cidr
  readonly gateway: IpInCidr | null
}

/** The engine's wish for a network on this host. */
export interface CreateNetworkRequest {
  readonly networkId: string
  readonly options: Readonly<Record<string, string>>
  readonly internal: boolean
  readonly pools: readonly NetworkPool[]
}

/**
 * Takes a network into the books and tells the cluster. Nothing is built in the kernel: that waits for
 * the first endpoint. A repeated call with the same content is a success; a different one under the
 * same id, or a second network for the same overlay on this host, is refused.
 */
export async function createNetwork(
  parts: DriverParts,
  books: NetworkStore,
  request: CreateNetworkRequest,
): Promise<void> {
  const present = books.network(request.networkId)
  if (present !== undefined && sameRequest(present, request)) return
  if (present !== undefined)
    throw refusal(
      'NETWORK_EXISTS',
      `network ${shortId(request.networkId)} exists with other options; remove it first`,
    )
  const network = await describe(parts, books, request, parseNetworkOptions(request.options))
  // Published first: what no record can hold is refused before anything is written.
  parts.cluster.putOverlay(overlayClaim(network))
  try {
    for (const key of network.poolKeys) await parts.pools.bindPool(key, network.networkId)
    await books.putNetwork(network)
  } catch (error) {
    parts.cluster.removeOverlay(network.overlayId)
    throw error
  }
  const { overlayId, vni, mtu } = network
  parts.logger.info('network created', { network: shortId(network.networkId), overlayId, vni, mtu })
}

function sameRequest(present: Network, request: CreateNetworkRequest): boolean {
  const { options, internal, pools, gateways } = present
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

function gatewaysOf(request: CreateNetworkRequest): string[] {
  return request.pools.flatMap(({ gateway, pool }) =>
    gateway === null ? [] : [ipWithLength(gateway.ip, pool)],
  )
}

async function describe(
  parts: DriverParts,
  books: NetworkStore,
  request: CreateNetworkRequest,
  options: NetworkOptions,
): Promise<Network> {
  const pools = request.pools.map(({ pool }) => pool)
  const poolKeys = request.pools
    .map(({ addressSpace, pool }) => parts.pools.poolFor(addressSpace, pool, options.overlay))
    .filter((key) => key !== null)
  const ownName = isSwarmId(request.networkId) ? undefined : poolKeys[0]
  const overlayId = options.overlay ?? ownName ?? request.networkId
  refuseSecondNetwork(books, overlayId, request.networkId)
  const mtuHere = await parts.mtuHere()
  const agreed = chooseOverlayParameters(
    { overlayId, vni: options.vni, mtu: options.mtu, pools, mtuHere },
    knownOverlays(parts, books, request.networkId),
  )
  const fault = mtuFault(overlayId, agreed.mtu, mtuHere)
  if (fault !== null) parts.logger.warn(fault)
  return {
    networkId: request.networkId,
    overlayId,
    vni: agreed.vni,
    mtu: agreed.mtu,
    internal: request.internal,
    pools,
    gateways: gatewaysOf(request),
    poolKeys,
    options: request.options,
  }
}

/** The one network with that id, or that beginning of an id, if it has no endpoints; else a refusal. */
export function unusedNetwork(books: NetworkStore, id: string): Network {
  const [network, ...more] = books.networks().filter(({ networkId }) => networkId.startsWith(id))
  if (network === undefined || more.length > 0)
    throw refusal(
      'NETWORK_NOT_FOUND',
      `no or more than one network of this host has an id that begins with "${id}"`,
    )
  const endpoints = books.endpointsOf(network.networkId).length
  if (endpoints === 0) return network
  throw refusal(
    'NETWORK_EXISTS',
    `network ${shortId(network.networkId)} has ${endpoints} endpoints on this host; remove their containers first`,
  )
}

function refuseSecondNetwork(books: NetworkStore, overlayId: string, networkId: string): void {
  const other = books.networkOfOverlay(overlayId)
  if (other === undefined || other.networkId === networkId) return
  throw refusal(
    'OVERLAY_CONFLICT',
    `network ${shortId(other.networkId)} on this host already attaches to overlay "${overlayId}"; ` +
      'use that one, or keep them apart with --ipam-opt overlay=NAME and -o overlay=NAME; ' +
      `if "docker network ls" does not have it, DELETE /networks/${shortId(other.networkId)} (see README) removes it`,
  )
}

/** The overlays of all other members, and of this host's networks but one. */
export function knownOverlays(
  parts: DriverParts,
  books: NetworkStore,
  without?: string,
): KnownOverlay[] {
  const others = books.networks().filter((network) => network.networkId !== without)
  const member = parts.cluster.self
  return [
    ...parts.cluster.overlays(),
    ...others.map((network) => ({ ...overlayClaim(network), member })),
  ]
}
