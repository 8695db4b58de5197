import type { Link } from '../netlink/link.ts'
import { type LinkChange, changeLink, noOwnAddresses } from '../netlink/link-requests.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'

/** What a link has other than wanted, in words. */
export function linkDrift(link: Link, wanted: LinkChange): string[] {
  const right = (want: unknown, have: unknown): boolean => want === undefined || want === have
  return Object.entries({
    alias: right(wanted.alias, link.alias),
    'MAC address': right(wanted.mac, link.mac),
    MTU: right(wanted.mtu, link.mtu),
    bridge: right(wanted.master, link.master),
    learning: right(wanted.port?.learning, link.port?.learning),
    flooding: right(wanted.port?.flood, link.port?.flood),
    state: right(wanted.up, link.up),
  })
    .filter(([, isRight]) => !isRight)
    .map(([what]) => `${what} of ${link.name} put right`)
}

/**
 * Gives a link in an overlay's namespace all that it should have, in the order that the kernel needs:
 * onto the bridge before the port's flags, no addresses of its own before it goes up.
 */
export function configureLink(
  socket: NetlinkSocket,
  link: number | string,
  wanted: LinkChange,
): void {
  const { up, port, ...first } = wanted
  const requests = [changeLink(link, first), noOwnAddresses(link)]
  if (port !== undefined) requests.push(changeLink(link, { port }))
  if (up !== undefined) requests.push(changeLink(link, { up }))
  for (const [position, error] of socket.send(requests)) {
    // A kernel without IPv6, or an MTU too small for it: then there is nothing to keep away.
    if (position === 1 && error.code === 'EAFNOSUPPORT') continue
    throw error
  }
}
