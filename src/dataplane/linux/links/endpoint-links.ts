import { basename, join } from 'node:path'
import { failure, isSystemError, messageOf } from '../../../base/errors.ts'
import type { Logger } from '../../../base/logger.ts'
import { type Cidr, ipWithLength } from '../../../net/cidr.ts'
import type { EndpointLink, EnsuredEndpoint } from '../../dataplane.ts'
import { addAddress, addRoute } from '../netlink/addresses.ts'
import {
  type Link,
  deleteLinkFromThread,
  deleteLinkIfExists,
  findLink,
  listLinks,
} from '../netlink/link.ts'
import { changeLink, createVethPair, deleteLink, noOwnAddresses } from '../netlink/link-requests.ts'
import {
  bridgeName,
  endpointAliasOf,
  isMarked,
  portNameOf,
  sourceNameOf,
} from '../netlink/names.ts'
import { getFdb, readPortMac, removePortMac, setPortMac } from '../netlink/neighbours.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'
import { inNetns, writeNetSysctl } from '../netns/netns.ts'
import {
  type NetnsHandle,
  type OverlayNetns,
  closeNetns,
  openNetns,
} from '../netns/overlay-netns.ts'
import { isPinned } from '../netns/pin.ts'
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

/**
 * Creates a pair that was removed, with the other end in its sandbox, configured as the engine
 * does.
 * @returns why the container could not be given its IPv6 addresses, in words; null when it has all.
 */
function recreateVethPair(
  netns: OverlayNetns,
  container: NetnsHandle,
  overlayId: string,
  link: EndpointLink,
): string | null {
  const { socket } = container
  // A port that is there is incomplete, or it would have been repaired.
  const half = ownLink(netns, portNameOf(overlayId, link.endpointId), 'veth', overlayId)
  if (half !== null) deleteLinkIfExists(netns.socket, half.index)
  const names = new Set(listLinks(socket).map(({ name }) => name))
  // The engine numbers a container's links; ours is the number that is missing.
  let number = 0
  while (names.has(`eth${number}`)) number++
  const name = `eth${number}`
  const addresses = link.addresses.map(({ ip, cidr }) => ipWithLength(ip, cidr))
  const ipv6 = addresses.filter((address) => address.includes(':'))
  const ipv4 = addresses.filter((address) => !address.includes(':'))
  const errors: string[] = []
  const desired = desiredPort(netns, overlayId, link)
  createPair(netns, { ...container, name }, overlayId, link, desired, () => {
    if (ipv6.length === 0) socket.send([noOwnAddresses(name)])
    const index = findLink(socket, name)?.index
    if (index === undefined) throw failure('KERNEL', `${name}: the new veth pair is gone`)
    socket.sendAll(ipv4.map((address) => addAddress(index, address)))
    if (ipv6.length > 0) errors.push(...addIpv6(container, { name, index }, ipv6))
    socket.sendAll([changeLink(index, { up: true })])
    errors.push(...addRoutes(socket, index, link.routes ?? []))
  })
  if (errors.length === 0) return null
  return (
    `endpoint ${link.endpointId} of overlay ${overlayId} has its link again, but IPv6 only after a ` +
    `restart of its container: ${errors.join('; ')}`
  )
}

/**
 * As `recreateVethPair`, where the engine has a namespace of that sandbox in `directory`. Logs why
 * IPv6 could not be given. @returns whether there is a pair.
 */
export function recreateInSandbox(
  netns: OverlayNetns,
  sandboxes: { readonly directory: string | undefined; readonly logger: Logger },
  overlayId: string,
  link: EndpointLink,
): boolean {
  const { directory, logger } = sandboxes
  if (directory === undefined || link.sandboxKey === null) return false
  const path = join(directory, basename(link.sandboxKey))
  if (!isPinned(path)) return false
  const sandbox = openNetns(path)
  try {
    const warning = recreateVethPair(netns, sandbox, overlayId, link)
    if (warning !== null) logger.warn(warning)
    return true
  } finally {
    closeNetns(sandbox)
  }
}

/** Errors of a link without IPv6, or of a kernel without. */
const noIpv6: readonly string[] = ['EACCES', 'EINVAL', 'EAFNOSUPPORT', 'EOPNOTSUPP']

/**
 * The engine disables IPv6 in a container, except on links with such addresses. @returns what
 * failed.
 */
function addIpv6(
  { socket, fd }: NetnsHandle,
  { name, index }: { readonly name: string; readonly index: number },
  addresses: readonly string[],
): string[] {
  const errors: string[] = []
  try {
    inNetns(fd, () => writeNetSysctl(`ipv6/conf/${name}/disable_ipv6`, '0'))
  } catch (error) {
    if (!isSystemError(error)) throw error
    errors.push(messageOf(error))
  }
  const [error] = socket.send(addresses.map((address) => addAddress(index, address))).values()
  if (error === undefined) return []
  if (!noIpv6.includes(error.code)) throw error
  return [...errors, error.message]
}

/** Routes need the link up. @returns those of IPv6 that the container cannot have. */
function addRoutes(socket: NetlinkSocket, index: number, routes: readonly Cidr[]): string[] {
  return [...socket.send(routes.map((prefix) => addRoute(index, prefix)))].map(([n, error]) => {
    if (!routes[n]!.includes(':') || !noIpv6.includes(error.code)) throw error
    return error.message
  })
}

/** The bridge's end of the pair. */
function desiredPort(netns: OverlayNetns, overlayId: string, { endpointId, mtu }: EndpointLink) {
  const bridge = netns.link(bridgeName)
  if (bridge === null)
    throw failure('KERNEL', `overlay ${overlayId} has no bridge; ensure the overlay first`)
  return { ...portConfig(bridge), alias: endpointAliasOf(overlayId, endpointId), mtu }
}

/** Creates the whole pair, or nothing when a step fails. There must be no port of that name. */
function createPair(
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
