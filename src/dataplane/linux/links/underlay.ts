import { refusal } from '../../../base/errors.ts'
import { type Ip, ipBits, ipToBytes } from '../../../net/ip.ts'
import { getAddresses, readAddress } from '../netlink/addresses.ts'
import { type Request, readAttributes } from '../netlink/message.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/netlink-socket.ts'
import type { UnderlayRoute } from '../../dataplane.ts'
import { type Link, findLink } from '../netlink/link.ts'
import { familyOf } from '../netlink/neighbours.ts'
import { routeHeaderBytes } from '../netlink/routes.ts'
import * as rt from '../netlink/rtnetlink.ts'

/** Index of the loopback link in every namespace: LOOPBACK_IFINDEX in <net/flow.h>. */
const loopbackIndex = 1
/** Of Ethernet (RFC 894). */
const defaultMtu = 1500
/** Addresses for documentation, which only a default route matches (RFC 5737, RFC 3849). */
const documentationAddress = { 32: '192.0.2.1' as Ip, 128: '2001:db8::1' as Ip }

/**
 * The MTU of the link with that address, in the socket's namespace. No frame leaves by a loopback
 * link, which has the address where hosts announce theirs by BGP: then that of the default route's
 * link.
 */
export function underlayMtu(
  socket: NetlinkSocket,
  vtep: Ip,
  warn: (message: string) => void,
): number {
  const addresses = socket.dump(getAddresses(0)).map(readAddress)
  const index = addresses.find((address) => address?.ip === vtep)?.index
  const link = index === undefined ? null : findLink(socket, index)
  if (link === null)
    throw refusal(
      'BAD_SETTING',
      `no interface of this host has the address ${vtep}; set ADVERTISE_ADDR, or DATA_ADDR, to one that has`,
    )
  if (link.index !== loopbackIndex) return link.mtu
  const mtu = defaultRouteMtu(socket, vtep)
  if (mtu === null)
    warn(
      `${vtep} is an address of ${link.name}, and there is no default route; the underlay's MTU is ` +
        `assumed to be ${defaultMtu}: set MTU if that is wrong`,
    )
  return mtu ?? defaultMtu
}

/** Null when there is no default route of the VTEP's family. */
function defaultRouteMtu(socket: NetlinkSocket, vtep: Ip): number | null {
  const link = routeLink(socket, documentationAddress[ipBits(vtep)])
  return link === null || link.index === loopbackIndex ? null : link.mtu
}

/** Where a packet to that address leaves; null when there is no route. */
export function underlayRoute(socket: NetlinkSocket, ip: Ip): UnderlayRoute | null {
  const link = routeLink(socket, ip)
  if (link === null) return null
  const { name: device, up, carrier, mtu } = link
  return { device, up, carrier, mtu }
}

/** The link by which packets to that address leave; null when there is no route. */
function routeLink(socket: NetlinkSocket, ip: Ip): Link | null {
  try {
    const { body } = socket.get(getRoute(ip))
    const index = readAttributes(body.subarray(routeHeaderBytes)).get(rt.RTA_OIF)?.readUInt32LE()
    return index === undefined ? null : findLink(socket, index)
  } catch (error) {
    // Unreachable, prohibited or blackhole: the kernel has an error for each.
    if (error instanceof NetlinkError) return null
    throw error
  }
}

/** Looks up the route of a packet to that address. */
function getRoute(ip: Ip): Request {
  return {
    type: rt.RTM_GETROUTE,
    flags: 0,
    body: (writer) => {
      writer.u8(familyOf(ip))
      writer.u8(ipBits(ip))
      writer.u16(0)
      writer.u32(0)
      writer.u32(0)
      writer.bytesAttribute(rt.RTA_DST, ipToBytes(ip))
    },
  }
}
