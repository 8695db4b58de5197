import { failure, isSystemError, messageOf } from '../../../base/errors.ts'
import type { EndpointLink, EnsuredEndpoint } from '../../dataplane.ts'
import type { Link } from '../netlink/link.ts'
import { addAddress } from '../netlink/addresses.ts'
import { changeLink, createVethPair, deleteLink, noOwnAddresses } from '../netlink/link-requests.ts'
import {
  bridgeName,
  endpointAliasOf,
  isMarked,
  portNameOf,
  sourceNameOf,
} from '../netlink/names.ts'
import { inNetns } from '../netns/netns.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'
import { configureLink, linkDrift } from './link-config.ts'
import { type NetnsHandle, type OverlayNetns, findLink, listLinks } from '../netns/overlay-netns.ts'
import { getFdb, readPortMac, removePortMac, setPortMac } from '../netlink/neighbours.ts'
import { writeNetSysctl } from '../netns/sysctl.ts'

/**
 * The veth pair of an endpoint. One end is a port of the bridge. The other lies in the host's namespace
 * under the name that Join answers; the engine moves it into the container, and back before it asks to
 * delete the endpoint, unless the container's namespace died first, and the pair with it.
 */

/** As a port of the bridge: told its one station by hand, and given nothing that is not for it. */
const endpointPort = { learning: false, flood: false }

/** What the bridge's end of every pair has. */
export function portConfig(bridge: Link): { master: number; port: typeof endpointPort; up: true } {
  return { master: bridge.index, port: endpointPort, up: true }
}

/** Makes the pair, or repairs what is there. */
export function ensureVethPair(
  netns: OverlayNetns,
  host: NetnsHandle,
  overlayId: string,
  link: EndpointLink,
): EnsuredEndpoint {
  const sourceName = sourceNameOf(overlayId, link.endpointId)
  const changed = repairVethPair(netns, host, overlayId, link)
  if (changed !== null) return { sourceName, changed }
  const hostEnd = owned(findLink(host.socket, sourceName), overlayId, null)
  // An end without its port in the overlay: nothing can be behind it any more.
  if (hostEnd !== null) deleteLinkIfExists(host.socket, hostEnd.index)
  const wanted = wantedPort(netns, overlayId, link)
  makePair(netns, { ...host, name: sourceName }, overlayId, link, wanted)
  return { sourceName, changed: ['veth pair made'] }
}

/** Repairs the pair. @returns what was changed, in words; null when there is no pair. */
export function repairVethPair(
  netns: OverlayNetns,
  host: NetnsHandle,
  overlayId: string,
  link: EndpointLink,
): string[] | null {
  const wanted = wantedPort(netns, overlayId, link)
  const port = owned(netns.link(portNameOf(overlayId, link.endpointId)), overlayId, netns.path)
  if (port === null) return null
  const hostEnd = findLink(host.socket, sourceNameOf(overlayId, link.endpointId))
  const changed = linkDrift(port, wanted)
  if (changed.length > 0) configureLink(netns.socket, port.index, wanted)
  changed.push(...repairHostEnd(host.socket, owned(hostEnd, overlayId, null), link, wanted.alias))
  changed.push(...ensureStation(netns.socket, port.index, link))
  return changed
}

/**
 * Makes the pair that somebody removed, the other end in its container at once, as the engine had it.
 * @returns why the container could not be given its IPv6 addresses, in words; null when it has all.
 */
export function recreateVethPair(
  netns: OverlayNetns,
  container: NetnsHandle,
  overlayId: string,
  link: EndpointLink,
  addresses: readonly string[],
): string | null {
  const { socket } = container
  // A port that is there was never finished, or it would have been found and repaired.
  const half = owned(netns.link(portNameOf(overlayId, link.endpointId)), overlayId, netns.path)
  if (half !== null) deleteLinkIfExists(netns.socket, half.index)
  const names = new Set(listLinks(socket).map(({ name }) => name))
  // The engine numbers a container's links; ours is the one that is missing.
  let number = 0
  while (names.has(`eth${number}`)) number++
  const name = `eth${number}`
  const ipv6 = addresses.filter((address) => address.includes(':'))
  const ipv4 = addresses.filter((address) => !address.includes(':'))
  const lacks: string[] = []
  const wanted = wantedPort(netns, overlayId, link)
  makePair(netns, { ...container, name }, overlayId, link, wanted, () => {
    if (ipv6.length === 0) socket.send([noOwnAddresses(name)])
    const index = findLink(socket, name)?.index
    if (index === undefined) throw failure('KERNEL', `${name}: the new veth pair is gone`)
    socket.sendAll(ipv4.map((address) => addAddress(index, address)))
    if (ipv6.length > 0) lacks.push(...addIpv6(container, { name, index }, ipv6))
    socket.sendAll([changeLink(index, { up: true })])
  })
  if (lacks.length === 0) return null
  const { endpointId } = link
  return `endpoint ${endpointId} of overlay ${overlayId} has its link again, but IPv6 only after a restart of its container: ${lacks.join('; ')}`
}

/** What the kernel says where a link has no IPv6, cannot have it, or the kernel itself has none. */
const noIpv6: readonly string[] = ['EACCES', 'EINVAL', 'EAFNOSUPPORT', 'EOPNOTSUPP']

/** The engine has IPv6 off in a container, but for the links that have such addresses. @returns what failed. */
function addIpv6(
  { socket, fd }: NetnsHandle,
  { name, index }: { readonly name: string; readonly index: number },
  addresses: readonly string[],
): string[] {
  const lacks: string[] = []
  try {
    inNetns(fd, () => writeNetSysctl(`ipv6/conf/${name}/disable_ipv6`, '0'))
  } catch (error) {
    if (!isSystemError(error)) throw error
    lacks.push(messageOf(error))
  }
  const [error] = socket.send(addresses.map((address) => addAddress(index, address))).values()
  if (error === undefined) return []
  if (!noIpv6.includes(error.code)) throw error
  return [...lacks, error.message]
}

/** The bridge's end of the pair. */
function wantedPort(netns: OverlayNetns, overlayId: string, { endpointId, mtu }: EndpointLink) {
  const bridge = netns.link(bridgeName)
  if (bridge === null)
    throw failure('KERNEL', `overlay ${overlayId} has no bridge; ensure the overlay first`)
  return { ...portConfig(bridge), alias: endpointAliasOf(overlayId, endpointId), mtu }
}

/** All of it, or nothing when something fails on the way. There must be no port of that name. */
function makePair(
  netns: OverlayNetns,
  other: NetnsHandle & { readonly name: string },
  overlayId: string,
  { endpointId, mac, mtu }: EndpointLink,
  wanted: ReturnType<typeof wantedPort>,
  dressOther = (): void => {},
): void {
  const name = portNameOf(overlayId, endpointId)
  const ends = { name, peerName: other.name, peerMac: mac, peerNetnsFd: other.fd }
  try {
    // May fail although it was done, when its answer is lost.
    netns.socket.sendAll([createVethPair({ ...ends, mtu, master: wanted.master })])
    other.socket.sendAll([changeLink(other.name, { alias: wanted.alias })])
    dressOther()
    configureLink(netns.socket, name, wanted)
    const port = netns.link(name)
    if (port === null) throw failure('KERNEL', `${name}: the new veth pair is gone`)
    netns.socket.sendAll([setPortMac(port.index, mac)])
  } catch (error) {
    netns.socket.send([deleteLink(name)])
    throw error
  }
}

/** Removes the pair by whichever end is left. */
export function removeVethPair(
  netns: OverlayNetns | null,
  host: NetnsHandle,
  overlayId: string,
  endpointId: string,
): void {
  const port = netns?.link(portNameOf(overlayId, endpointId)) ?? null
  if (netns !== null && port !== null && isMarked(port, overlayId)) {
    deleteLinkIfExists(netns.socket, port.index)
    return
  }
  const hostEnd = findLink(host.socket, sourceNameOf(overlayId, endpointId))
  if (hostEnd !== null && isMarked(hostEnd, overlayId))
    deleteLinkIfExists(host.socket, hostEnd.index)
}

/** Removes a link, which may go by itself at the same time. */
export function deleteLinkIfExists(socket: NetlinkSocket, index: number): void {
  const [error] = socket.send([deleteLink(index)]).values()
  if (error !== undefined && error.code !== 'ENODEV') throw error
}

function owned(link: Link | null, overlayId: string, path: string | null): Link | null {
  if (link === null || isMarked(link, overlayId)) return link
  const command = `ip link delete ${link.name}`
  throw failure(
    'KERNEL',
    `overlay ${overlayId}: link ${link.name} in ${path ?? "the host's namespace"} is not ours (kind ` +
      `${link.kind}, alias "${link.alias}"); remove it: ` +
      (path === null ? command : `nsenter --net=${path} ${command}`),
  )
}

/** The container's end, while it lies in the host's namespace. In a container it is not ours to touch. */
function repairHostEnd(
  socket: NetlinkSocket,
  hostEnd: Link | null,
  { mac, mtu }: EndpointLink,
  alias: string,
): string[] {
  if (hostEnd === null) return []
  const wrong = linkDrift(hostEnd, { mac, mtu, alias })
  if (wrong.length > 0) socket.sendAll([changeLink(hostEnd.index, { mac, mtu, alias })])
  return wrong
}

/** Tells the bridge which station is behind the port, and that no other is. */
function ensureStation(socket: NetlinkSocket, portIndex: number, { mac }: EndpointLink): string[] {
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
  return [`station ${mac} put behind its port`]
}
