import { failure } from '../../../base/errors.ts'
import type { EndpointLink, EnsuredEndpoint } from '../../dataplane.ts'
import { type Link, deleteLinkFromThread, deleteLinkIfExists, findLink } from '../netlink/link.ts'
import { changeLink, createVethPair, deleteLink } from '../netlink/link-requests.ts'
import {
  bridgeName,
  endpointAliasOf,
  isMarked,
  portNameOf,
  sourceNameOf,
} from '../netlink/names.ts'
import { getFdb, readPortMac, removePortMac, setPortMac } from '../netlink/neighbours.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'
import type { NetnsHandle, OverlayNetns } from '../netns/overlay-netns.ts'
import { configureLink, linkDrift, ownLink, repairLink } from './link-config.ts'

/**
 * The veth pair of an endpoint. One end is a port of the bridge. The other is created in the host's
 * namespace under the name that Join answers; the engine moves it into the sandbox, and back before
 * it deletes the endpoint, unless the sandbox's namespace ended first, and the pair with it.
 */

/**
 * The bridge has a static FDB entry for the one MAC address behind the port, and floods nothing to
 * it.
 */
const endpointPort = { learning: false, flood: false }

/** The configuration of the bridge's end of every pair. */
export function portConfig(bridge: Link): { master: number; port: typeof endpointPort; up: true } {
  return { master: bridge.index, port: endpointPort, up: true }
}

/** Creates the pair, or repairs what is there. */
export function ensureVethPair(
  netns: OverlayNetns,
  host: NetnsHandle,
  overlayId: string,
  link: EndpointLink,
): EnsuredEndpoint {
  const sourceName = sourceNameOf(overlayId, link.endpointId)
  const changed = repairVethPair(netns, host, overlayId, link)
  if (changed !== null) return { sourceName, changed }
  const hostEnd = ownLink(host, sourceName, 'veth', overlayId)
  // An end without its port in the overlay: it leads nowhere.
  if (hostEnd !== null) deleteLinkIfExists(host.socket, hostEnd.index)
  const desired = desiredPort(netns, overlayId, link)
  createPair(netns, { ...host, name: sourceName }, overlayId, link, desired)
  return { sourceName, changed: ['veth pair created'] }
}

/** Whether there is a pair whose creation was completed: its alias comes after the link. */
export function isComplete(
  netns: OverlayNetns,
  overlayId: string,
  { endpointId }: EndpointLink,
): boolean {
  return netns.link(portNameOf(overlayId, endpointId))?.alias !== ''
}

/** Repairs the pair. @returns what was changed, in words; null when there is no pair. */
export function repairVethPair(
  netns: OverlayNetns,
  host: NetnsHandle,
  overlayId: string,
  link: EndpointLink,
): string[] | null {
  const desired = desiredPort(netns, overlayId, link)
  const port = ownLink(netns, portNameOf(overlayId, link.endpointId), 'veth', overlayId)
  if (port === null) return null
  const hostEnd = ownLink(host, sourceNameOf(overlayId, link.endpointId), 'veth', overlayId)
  return [
    ...repairLink(netns.socket, port, desired),
    ...repairHostEnd(host.socket, hostEnd, link, desired.alias),
    ...ensurePortMac(netns.socket, port.index, link),
    ...ensurePortSource(netns, port, link),
  ]
}

/** The bridge's end of the pair. */
export function desiredPort(
  netns: OverlayNetns,
  overlayId: string,
  { endpointId, mtu }: EndpointLink,
) {
  const bridge = netns.link(bridgeName)
  if (bridge === null)
    throw failure('KERNEL', `overlay ${overlayId} has no bridge; ensure the overlay first`)
  return { ...portConfig(bridge), alias: endpointAliasOf(overlayId, endpointId), mtu }
}

/** Creates the whole pair, or nothing when a step fails. There must be no port of that name. */
export function createPair(
  netns: OverlayNetns,
  other: NetnsHandle & { readonly name: string },
  overlayId: string,
  link: EndpointLink,
  desired: ReturnType<typeof desiredPort>,
  configureOther = (): void => {},
): void {
  const { endpointId, mac, mtu } = link
  const name = portNameOf(overlayId, endpointId)
  const ends = { name, peerName: other.name, peerMac: mac, peerNetnsFd: other.fd }
  try {
    // May fail although it succeeded, when its answer is lost.
    netns.socket.sendAll([createVethPair({ ...ends, mtu, master: desired.master })])
    other.socket.sendAll([changeLink(other.name, { alias: desired.alias })])
    configureOther()
    configureLink(netns.socket, name, desired)
    const port = netns.link(name)
    if (port === null) throw failure('KERNEL', `${name}: the new veth pair is gone`)
    netns.socket.sendAll([setPortMac(port.index, mac)])
    ensurePortSource(netns, port, link)
  } catch (error) {
    netns.socket.send([deleteLink(name)])
    throw error
  }
}

/** Removes the pair by whichever end is left, without blocking this thread. */
export async function removeVethPair(
  netns: OverlayNetns | null,
  host: NetnsHandle,
  overlayId: string,
  endpointId: string,
): Promise<void> {
  const name = portNameOf(overlayId, endpointId)
  const port = netns?.link(name) ?? null
  if (netns?.filtersPorts === true) netns.portFilter.set(name, null)
  netns?.fastPath.removePort(name)
  if (netns !== null && port !== null && isMarked(port, overlayId)) {
    await deleteLinkFromThread(netns.socket, port.index)
    return
  }
  const hostEnd = findLink(host.socket, sourceNameOf(overlayId, endpointId))
  if (hostEnd !== null && isMarked(hostEnd, overlayId))
    await deleteLinkFromThread(host.socket, hostEnd.index)
}

/**
 * Repairs the container's end while it is in the host's namespace. In a container it is not ours.
 */
function repairHostEnd(
  socket: NetlinkSocket,
  hostEnd: Link | null,
  { mac, mtu }: EndpointLink,
  alias: string,
): string[] {
  if (hostEnd === null) return []
  const drift = linkDrift(hostEnd, { mac, mtu, alias })
  if (drift.length > 0) socket.sendAll([changeLink(hostEnd.index, { mac, mtu, alias })])
  return drift
}

/** Lets the container send from its own addresses, by the bridge and past it. */
function ensurePortSource(
  netns: OverlayNetns,
  port: Link,
  { mac, addresses }: EndpointLink,
): string[] {
  const source = { mac, ips: addresses.map(({ ip }) => ip) }
  const filtered = netns.filtersPorts ? netns.portFilter.set(port.name, source) : []
  return [...filtered, ...netns.fastPath.setPort(port, source)]
}

/** Makes the endpoint's MAC address the only one that the bridge has behind the port. */
function ensurePortMac(socket: NetlinkSocket, portIndex: number, { mac }: EndpointLink): string[] {
  const found = socket
    .dump(getFdb(portIndex))
    .map(readPortMac)
    .flatMap((entry) => (entry?.index === portIndex ? [entry.mac] : []))
  const excess = found.filter((other) => other !== mac)
  if (found.includes(mac) && excess.length === 0) return []
  socket.sendAll([
    setPortMac(portIndex, mac),
    ...excess.map((other) => removePortMac(portIndex, other)),
  ])
  return [`FDB entry of ${mac} repaired`]
}
