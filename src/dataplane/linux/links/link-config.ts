import type { Link } from '../netlink/link.ts'
import { type LinkChange, changeLink, noOwnAddresses } from '../netlink/link-requests.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'

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
    state: matches(desired.up, link.up),
  })
    .filter(([, isSame]) => !isSame)
    .map(([what]) => `${what} of ${link.name} repaired`)
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
  const { up, port, ...first } = desired
  const requests = [changeLink(link, first), noOwnAddresses(link)]
  if (port !== undefined) requests.push(changeLink(link, { port }))
  if (up !== undefined) requests.push(changeLink(link, { up }))
  for (const [position, error] of socket.send(requests)) {
    // A kernel without IPv6, or an MTU too small for it: then there are no addresses to prevent.
    if (position === 1 && error.code === 'EAFNOSUPPORT') continue
    throw error
  }
}
