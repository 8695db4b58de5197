import type { OverlayStatus } from '../../../src/wiring/status.ts'
import { printTable } from './output.ts'
import { type Status, nameOf } from './status-view.ts'

/** An endpoint, and where it is. */
export interface Place {
  readonly network: string
  readonly overlayId: string
  readonly host: string
  readonly vtep: string
  readonly endpointId: string
  readonly addresses: readonly string[]
  readonly mac: string
  readonly container: string | null
}

/** Every endpoint of this host's networks. */
export function placesOf(status: Status): Place[] {
  return status.overlays.flatMap((overlay) => {
    const common = { network: nameOf(overlay), overlayId: overlay.overlayId }
    const own = overlay.endpoints.map(({ endpointId, addresses, mac, ...rest }) => ({
      ...common,
      host: status.member,
      vtep: status.vtep,
      endpointId,
      addresses: addresses.map((address) => address.split('/')[0]!),
      mac,
      container: containerOf(rest),
    }))
    const others = overlay.peers.map(({ member, vtep, endpointId, ips, mac, ...rest }) => ({
      ...common,
      host: member,
      vtep,
      endpointId,
      addresses: ips,
      mac,
      container: containerOf(rest),
    }))
    return [...own, ...others]
  })
}

/** The name of an endpoint's container, where the plugin knows it. */
function containerOf(endpoint: object): string | null {
  const { container = null } = endpoint as { container?: string | null }
  return container
}

/**
 * The endpoints that `wanted` names: an IP or MAC address, a container's name, (the beginning of)
 * an endpoint's id, or a network by name or id.
 */
export function findPlaces(status: Status, wanted: string): Place[] {
  const text = wanted.toLowerCase()
  const networks = status.overlays.filter((overlay) => isNetwork(overlay, text))
  return placesOf(status).filter(
    ({ addresses, mac, container, endpointId, overlayId }) =>
      addresses.includes(text) ||
      mac === text ||
      container?.toLowerCase() === text ||
      (/^[0-9a-f]{6,}$/.test(text) && endpointId.startsWith(text)) ||
      networks.some((overlay) => overlay.overlayId === overlayId),
  )
}

function isNetwork(overlay: OverlayStatus, text: string): boolean {
  const isId = /^[0-9a-f]{6,}$/.test(text) && overlay.networkId.startsWith(text)
  return isId || overlay.overlayId.toLowerCase() === text || nameOf(overlay).toLowerCase() === text
}

export function printPlaces(places: readonly Place[]): void {
  printTable(
    ['ADDRESS', 'MAC', 'NETWORK', 'HOST', 'VTEP', 'CONTAINER', 'ENDPOINT'],
    places.map(({ addresses, mac, network, host, vtep, container, endpointId }) => [
      addresses.join(' '),
      mac,
      network,
      host,
      vtep,
      container ?? '-',
      endpointId.slice(0, 12),
    ]),
  )
}
