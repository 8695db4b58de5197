import { type Cidr, cidrBase, cidrLength, cidrOf } from '../../../net/cidr.ts'
import { type Ip, ipBits, ipFromBytes, ipToBytes } from '../../../net/ip.ts'
import { type Message, type Request, readAttributes } from './message.ts'
import { familyOf } from './neighbours.ts'
import * as rt from './rtnetlink.ts'

/** Routes of the main table: requests and readers. */

/** struct rtmsg. */
export const routeHeaderBytes = 12

/** Sends all that is of the family of `ip` by a link, without a gateway. */
export function addDefaultRoute(index: number, ip: Ip): Request {
  return addRoute(index, cidrOf(ip, 0))
}

/** Sends what is for that prefix by a link, without a gateway. */
export function addRoute(index: number, prefix: Cidr): Request {
  return routeRequest(rt.RTM_NEWROUTE, rt.NLM_F_CREATE | rt.NLM_F_REPLACE, index, prefix)
}

export function removeRoute(index: number, prefix: Cidr): Request {
  return routeRequest(rt.RTM_DELROUTE, 0, index, prefix)
}

function routeRequest(type: number, flags: number, index: number, prefix: Cidr): Request {
  const base = cidrBase(prefix)
  const length = cidrLength(prefix)
  return {
    type,
    flags,
    what: `route to ${prefix}`,
    body: (writer) => {
      // struct rtmsg: a route in the main table.
      for (const field of [familyOf(base), length, 0, 0]) writer.u8(field)
      for (const field of [rt.RT_TABLE_MAIN, rt.RTPROT_STATIC, rt.RT_SCOPE_LINK, rt.RTN_UNICAST])
        writer.u8(field)
      writer.u32(0)
      if (length > 0) writer.bytesAttribute(rt.RTA_DST, ipToBytes(base))
      writer.u32Attribute(rt.RTA_OIF, index)
    },
  }
}

/** Reads the routes of the family of `ip`, in all tables. */
export function getRoutes(ip: Ip): Request {
  return {
    type: rt.RTM_GETROUTE,
    flags: 0,
    body: (writer) => {
      writer.u32(familyOf(ip))
      writer.u32(0)
      writer.u32(0)
    },
  }
}

/** The one address that a RTM_NEWROUTE message leads to by that link; null for other routes. */
export function hostRouteBy(index: number, { body }: Message): Ip | null {
  if (body[7] !== rt.RTN_UNICAST) return null
  const attributes = readAttributes(body.subarray(routeHeaderBytes))
  const to = attributes.get(rt.RTA_DST)
  if (to === undefined || attributes.get(rt.RTA_OIF)?.readUInt32LE() !== index) return null
  const ip = ipFromBytes(to)
  return ip !== null && body[1] === ipBits(ip) ? ip : null
}
