import { basename, join } from 'node:path'
import { failure, isSystemError, messageOf } from '../../../base/errors.ts'
import type { Logger } from '../../../base/logger.ts'
import { type Cidr, ipWithLength } from '../../../net/cidr.ts'
import type { EndpointLink } from '../../dataplane.ts'
import { addAddress } from '../netlink/addresses.ts'
import { addRoute } from '../netlink/routes.ts'
import { deleteLinkIfExists, findLink, listLinks } from '../netlink/link.ts'
import { changeLink, noOwnAddresses } from '../netlink/link-requests.ts'
import { portNameOf } from '../netlink/names.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'
import { inNetns, writeNetSysctl } from '../netns/netns.ts'
import {
  type NetnsHandle,
  type OverlayNetns,
  closeNetns,
  openNetns,
} from '../netns/overlay-netns.ts'
import { isPinned } from '../netns/pin.ts'
import { createPair, desiredPort } from './endpoint-links.ts'
import { ownLink } from './link-config.ts'

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
  sandboxes: Sandboxes,
  overlayId: string,
  link: EndpointLink,
): boolean {
  return inSandbox(sandboxes, link, (sandbox) => {
    const warning = recreateVethPair(netns, sandbox, overlayId, link)
    if (warning !== null) sandboxes.logger.warn(warning)
  })
}

/** MTU and routes of a link that is in its sandbox. @returns whether there is a sandbox. */
export function configureInSandbox(sandboxes: Sandboxes, link: EndpointLink): boolean {
  return inSandbox(sandboxes, link, ({ socket }) => {
    const own = listLinks(socket).find(({ kind, mac }) => kind === 'veth' && mac === link.mac)
    if (own === undefined) return
    if (own.mtu !== link.mtu) socket.sendAll([changeLink(own.index, { mtu: link.mtu })])
    addRoutes(socket, own.index, link.routes ?? [])
  })
}

/** Where the engine has the namespaces of sandboxes; null without. */
export interface Sandboxes {
  readonly directory: string | undefined
  readonly logger: Logger
}

/** Visits an endpoint's sandbox. @returns whether the engine has it. */
function inSandbox(
  { directory }: Sandboxes,
  { sandboxKey }: EndpointLink,
  visit: (sandbox: NetnsHandle) => void,
): boolean {
  if (directory === undefined || sandboxKey === null) return false
  const path = join(directory, basename(sandboxKey))
  if (!isPinned(path)) return false
  const sandbox = openNetns(path)
  try {
    visit(sandbox)
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
