import { failure } from '../../../base/errors.ts'
import { type Link, findLink } from '../netlink/link.ts'
import {
  type LinkChange,
  changeLink,
  noOwnAddresses,
  snoopGroups,
} from '../netlink/link-requests.ts'
import { isMarked } from '../netlink/names.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'

/** A namespace to look for links in: the host's, or one with a path. */
interface Place {
  readonly socket: NetlinkSocket
  readonly path?: string
}

/**
 * The overlay's link of that name; null when there is none. Fails when another program has a link
 * of that name, or when the link is not of that kind.
 */
export function ownLink(
  { socket, path }: Place,
  name: string,
  kind: string,
  overlayId: string,
): Link | null {
  const link = findLink(socket, name)
  if (link === null || (link.kind === kind && isMarked(link, overlayId))) return link
  const command = `ip link delete ${name}`
  throw failure(
    'KERNEL',
    `overlay ${overlayId}: link ${name} in ${path ?? "the host's namespace"} is not ours (kind ` +
      `${link.kind}, alias "${link.alias}"); remove it: ` +
      (path === undefined ? command : `nsenter --net=${path} ${command}`),
  )
}

/** The properties in which a link differs from `desired`, in words. */
export function linkDrift(link: Link, desired: LinkChange): string[] {
  const matches = (want: unknown, have: unknown): boolean => want === undefined || want === have
  return Object.entries({
    alias: matches(desired.alias, link.alias),
    'MAC address': matches(desired.mac, link.mac),
    MTU: matches(desired.mtu, link.mtu),
    bridge: matches(desired.master, link.master),
    learning: matches(desired.port?.learning, link.port?.learning),
    flooding: matches(desired.port?.flood, link.port?.flood),
    'multicast snooping': matches(desired.snooping, link.snooping),
    state: matches(desired.up, link.up),
  })
    .filter(([, isSame]) => !isSame)
    .map(([what]) => `${what} of ${link.name} repaired`)
}

/** Configures a link where it differs from `desired`. @returns the properties, in words. */
export function repairLink(socket: NetlinkSocket, link: Link, desired: LinkChange): string[] {
  const drift = linkDrift(link, desired)
  if (drift.length > 0) configureLink(socket, link.index, desired)
  return drift
}

/**
 * Configures a link in an overlay's namespace, in the order that the kernel needs: onto the bridge
 * before the port's flags, no addresses of its own before it goes up.
 */
export function configureLink(
  socket: NetlinkSocket,
  link: number | string,
  desired: LinkChange,
): void {
  const { up, port, snooping, ...first } = desired
  const requests = [changeLink(link, first), noOwnAddresses(link)]
  if (port !== undefined) requests.push(changeLink(link, { port }))
  if (snooping !== undefined) requests.push(...snoopGroups(link, snooping))
  if (up !== undefined) requests.push(changeLink(link, { up }))
  for (const [position, error] of socket.send(requests)) {
    // A kernel without IPv6, or an MTU too small for it: then there are no addresses to prevent.
    if (position === 1 && error.code === 'EAFNOSUPPORT') continue
    throw error
  }
}
