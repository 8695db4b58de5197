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
  /** The container's name; null when it is not known. */
  readonly container: string | null
  /** All its names: aliases and its short id, too. */
  readonly names: readonly string[]
}

/** Every endpoint of this host's networks. */
export function placesOf(status: Status): Place[] {
  return status.overlays.flatMap((overlay) => {
    const common = { network: nameOf(overlay), overlayId: overlay.overlayId }
    const own = overlay.endpoints.map(({ endpointId, addresses, mac, names }) => ({
      ...common,
      host: status.member,
      vtep: status.vtep,
      endpointId,
      addresses: addresses.map((address) => address.split('/')[0]!),
      mac,
      container: names[0] ?? null,
      names,
    }))
    const others = overlay.peers.map(({ member, vtep, endpointId, ips, mac, names }) => ({
      ...common,
      host: member,
      vtep,
      endpointId,
      addresses: ips,
      mac,
      container: names[0] ?? null,
      names,
    }))
    return [...own, ...others]
  })
}

/**
 * The endpoints that `wanted` names: an IP or MAC address, a container's name, alias or short id,
 * or (the beginning of) an endpoint's id.
 */
export function findEndpoints(status: Status, wanted: string): Place[] {
  const text = wanted.toLowerCase()
  return placesOf(status).filter(
    ({ addresses, mac, names, endpointId }) =>
      addresses.includes(text) ||
      mac === text ||
      names.some((name) => name.toLowerCase() === text) ||
      (/^[0-9a-f]{6,}$/.test(text) && endpointId.startsWith(text)),
  )
}

/** The same, and all endpoints of the network that `wanted` names, by name or id. */
export function findPlaces(status: Status, wanted: string): Place[] {
  const text = wanted.toLowerCase()
  const networks = status.overlays.filter((overlay) => isNetwork(overlay, text))
  const ids = networks.map(({ overlayId }) => overlayId)
  const found = new Set(findEndpoints(status, wanted).map(({ endpointId }) => endpointId))
  return placesOf(status).filter(
    ({ endpointId, overlayId }) => found.has(endpointId) || ids.includes(overlayId),
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
