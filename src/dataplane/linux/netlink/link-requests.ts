import { type Ip, ipBits, ipToBytes } from '../../../net/ip.ts'
import { type Mac, macToBytes } from '../../../net/mac.ts'
import type { Vni } from '../../../net/vni.ts'
import type { MessageWriter, Request } from './message.ts'
import { linkGroup } from './names.ts'
import * as rt from './rtnetlink.ts'

/** Requests that create, change and remove links. Every new link is in our group from the start. */

/** A link's index, or its name while the index is not known. */
type LinkKey = number | string

export interface LinkChange {
  readonly alias?: string
  readonly mac?: Mac
  readonly mtu?: number
  readonly master?: number
  readonly up?: boolean
  /** As a bridge: whether it learns which ports joined which group, and asks for it. */
  readonly snooping?: boolean
  /** As a port of a bridge: whether it learns, and whether unknown unicast is flooded to it. */
  readonly port?: { readonly learning: boolean; readonly flood: boolean }
}

/** A bridge without spanning tree, without multicast snooping and without a VLAN of its own. */
export function createBridge(name: string, mac: Mac, mtu: number): Request {
  return create(`creating bridge ${name}`, (writer) => {
    common(writer, { name, mac, mtu })
    writer.nest(rt.IFLA_LINKINFO, () => {
      writer.stringAttribute(rt.IFLA_INFO_KIND, 'bridge')
      writer.nest(rt.IFLA_INFO_DATA, () => {
        writer.u32Attribute(rt.IFLA_BR_STP_STATE, 0)
        writer.u8Attribute(rt.IFLA_BR_MCAST_SNOOPING, 0)
        // Otherwise the bridge adds every FDB entry twice, once for VLAN 1.
        writer.u16Attribute(rt.IFLA_BR_VLAN_DEFAULT_PVID, 0)
      })
    })
  })
}

interface NewVxlan {
  readonly name: string
  readonly mac: Mac
  readonly mtu: number
  readonly vni: Vni
  readonly vtep: Ip
  readonly port: number
  /** The namespace of the device, and the index of its bridge there. */
  readonly netnsFd: number
  readonly master: number
}

/**
 * A VXLAN device in `netnsFd` whose UDP socket is in the namespace of the socket that sends this.
 * It has `nolearning` and `proxy`: it answers ARP and neighbour discovery from its neighbour table
 * instead of forwarding them. All it sends is from `vtep`.
 */
export function createVxlan(vxlan: NewVxlan): Request {
  const local = ipBits(vxlan.vtep) === 32 ? rt.IFLA_VXLAN_LOCAL : rt.IFLA_VXLAN_LOCAL6
  return create(`creating VXLAN device ${vxlan.name} with VNI ${vxlan.vni}`, (writer) => {
    common(writer, vxlan)
    writer.u32Attribute(rt.IFLA_NET_NS_FD, vxlan.netnsFd)
    writer.u32Attribute(rt.IFLA_MASTER, vxlan.master)
    writer.nest(rt.IFLA_LINKINFO, () => {
      writer.stringAttribute(rt.IFLA_INFO_KIND, 'vxlan')
      writer.nest(rt.IFLA_INFO_DATA, () => {
        writer.u32Attribute(rt.IFLA_VXLAN_ID, vxlan.vni)
        writer.bytesAttribute(local, ipToBytes(vxlan.vtep))
        writer.be16Attribute(rt.IFLA_VXLAN_PORT, vxlan.port)
        writer.u8Attribute(rt.IFLA_VXLAN_LEARNING, 0)
        writer.u8Attribute(rt.IFLA_VXLAN_PROXY, 1)
      })
    })
  })
}

interface NewVethPair {
  /** The end in the namespace of the socket that sends this, and the index of its bridge. */
  readonly name: string
  readonly master: number
  readonly mtu: number
  /** The other end, its MAC address and its namespace. */
  readonly peerName: string
  readonly peerMac: Mac
  readonly peerNetnsFd: number
}

/** Both ends of a veth pair, each in its namespace, in one message. Both are down. */
export function createVethPair(pair: NewVethPair): Request {
  return create(`creating veth pair ${pair.name}, ${pair.peerName}`, (writer) => {
    common(writer, pair)
    writer.u32Attribute(rt.IFLA_MASTER, pair.master)
    writer.nest(rt.IFLA_LINKINFO, () => {
      writer.stringAttribute(rt.IFLA_INFO_KIND, 'veth')
      writer.nest(rt.IFLA_INFO_DATA, () =>
        writer.nest(rt.VETH_INFO_PEER, () => {
          interfaceHeader(writer, 0, 0, 0)
          common(writer, { name: pair.peerName, mac: pair.peerMac, mtu: pair.mtu })
          writer.u32Attribute(rt.IFLA_NET_NS_FD, pair.peerNetnsFd)
        }),
      )
    })
  })
}

/**
 * A WireGuard device in `netnsFd` whose UDP socket is in the namespace of the socket that sends
 * this.
 */
export function createWireGuard(name: string, mtu: number, netnsFd: number): Request {
  return create(`creating WireGuard device ${name}`, (writer) => {
    common(writer, { name, mtu })
    writer.u32Attribute(rt.IFLA_NET_NS_FD, netnsFd)
    writer.nest(rt.IFLA_LINKINFO, () => writer.stringAttribute(rt.IFLA_INFO_KIND, 'wireguard'))
  })
}

/**
 * Makes a bridge the querier of IGMPv3 and MLDv2 (RFC 3376, RFC 3810), whose reports bridges pass
 * on to all ports, and so to the bridges of other hosts. One of an overlay's bridges asks; another
 * one does when it has heard no query for two rounds, and memberships last until that is answered.
 * The intervals come first: the kernel floods groups for one response interval after the start.
 */
export function snoopGroups(link: LinkKey, snooping: boolean): Request[] {
  const what = 'setting multicast snooping of'
  const centiseconds = { query: 3000, response: 200, startup: 200, querier: 6100, members: 10_000 }
  const bridge = (attributes: (writer: MessageWriter) => void): Request =>
    keyed({ type: rt.RTM_NEWLINK, what, link }, (writer) =>
      writer.nest(rt.IFLA_LINKINFO, () => {
        writer.stringAttribute(rt.IFLA_INFO_KIND, 'bridge')
        writer.nest(rt.IFLA_INFO_DATA, () => attributes(writer))
      }),
    )
  const intervals = bridge((writer) => {
    const interval = (type: number, value: number): void => {
      const bytes = Buffer.alloc(8)
      bytes.writeUInt32LE(value)
      writer.bytesAttribute(type, bytes)
    }
    interval(rt.IFLA_BR_MCAST_QUERY_INTVL, centiseconds.query)
    interval(rt.IFLA_BR_MCAST_QUERY_RESPONSE_INTVL, centiseconds.response)
    interval(rt.IFLA_BR_MCAST_STARTUP_QUERY_INTVL, centiseconds.startup)
    interval(rt.IFLA_BR_MCAST_QUERIER_INTVL, centiseconds.querier)
    interval(rt.IFLA_BR_MCAST_MEMBERSHIP_INTVL, centiseconds.members)
    writer.u32Attribute(rt.IFLA_BR_MCAST_STARTUP_QUERY_CNT, 3)
    writer.u8Attribute(rt.IFLA_BR_MCAST_IGMP_VERSION, 3)
    writer.u8Attribute(rt.IFLA_BR_MCAST_MLD_VERSION, 2)
  })
  const mode = bridge((writer) => {
    writer.u8Attribute(rt.IFLA_BR_MCAST_SNOOPING, Number(snooping))
    writer.u8Attribute(rt.IFLA_BR_MCAST_QUERIER, Number(snooping))
  })
  return snooping ? [intervals, mode] : [mode]
}

/** Changes only what is given, without `snooping`. For `port` the link must be on a bridge. */
export function changeLink(link: LinkKey, change: LinkChange): Request {
  const { alias, mac, mtu, master, up, port } = change
  const what = `setting ${Object.keys(change).join(', ')} of`
  return keyed({ type: rt.RTM_NEWLINK, what, link, up }, (writer) => {
    if (alias !== undefined) writer.bytesAttribute(rt.IFLA_IFALIAS, Buffer.from(alias))
    if (mac !== undefined) writer.bytesAttribute(rt.IFLA_ADDRESS, macToBytes(mac))
    if (mtu !== undefined) writer.u32Attribute(rt.IFLA_MTU, mtu)
    if (master !== undefined) writer.u32Attribute(rt.IFLA_MASTER, master)
    if (port !== undefined)
      writer.nest(rt.IFLA_LINKINFO, () => {
        writer.stringAttribute(rt.IFLA_INFO_SLAVE_KIND, 'bridge')
        writer.nest(rt.IFLA_INFO_SLAVE_DATA, () => {
          writer.u8Attribute(rt.IFLA_BRPORT_LEARNING, Number(port.learning))
          writer.u8Attribute(rt.IFLA_BRPORT_UNICAST_FLOOD, Number(port.flood))
          // Never one of a router, to which all groups would be sent.
          writer.u8Attribute(rt.IFLA_BRPORT_MULTICAST_ROUTER, 0)
        })
      })
    writer.u32Attribute(rt.IFLA_GROUP, linkGroup)
  })
}

/** Prevents a link-local IPv6 address (addrgenmode none). Fails where there is no IPv6. */
export function noOwnAddresses(link: LinkKey): Request {
  return keyed({ type: rt.RTM_NEWLINK, what: 'setting the address mode of', link }, (writer) =>
    writer.nest(rt.IFLA_AF_SPEC, () =>
      writer.nest(rt.AF_INET6, () =>
        writer.u8Attribute(rt.IFLA_INET6_ADDR_GEN_MODE, rt.IN6_ADDR_GEN_MODE_NONE),
      ),
    ),
  )
}

/** Removes one link; with `netnsId` one in the namespace with that id. */
export function deleteLink(link: LinkKey, netnsId?: number): Request {
  return keyed({ type: rt.RTM_DELLINK, what: 'removing', link }, (writer) => {
    if (netnsId !== undefined) writer.u32Attribute(rt.IFLA_TARGET_NETNSID, netnsId)
  })
}

/** Removes all our links of a namespace at once: the kernel waits once, not for each link. */
export function deleteAllOurs(): Request {
  return keyed({ type: rt.RTM_DELLINK, what: 'removing all our links', link: 0 }, (writer) =>
    writer.u32Attribute(rt.IFLA_GROUP, linkGroup),
  )
}

/** Reads a link with its counters. */
export function getLinkWithCounters(link: LinkKey): Request {
  return keyed({ type: rt.RTM_GETLINK, what: 'reading', link }, () => {})
}

/** Reads one link, or with 0 all; with `netnsId` in the namespace with that id. */
export function getLinks(link: LinkKey = 0, netnsId?: number): Request {
  return keyed({ type: rt.RTM_GETLINK, what: 'reading', link }, (writer) => {
    writer.u32Attribute(rt.IFLA_EXT_MASK, rt.RTEXT_FILTER_SKIP_STATS)
    if (netnsId !== undefined) writer.u32Attribute(rt.IFLA_TARGET_NETNSID, netnsId)
  })
}

function create(what: string, attributes: (writer: MessageWriter) => void): Request {
  return {
    what,
    type: rt.RTM_NEWLINK,
    flags: rt.NLM_F_CREATE | rt.NLM_F_EXCL,
    body: (writer) => {
      interfaceHeader(writer, 0, 0, 0)
      attributes(writer)
    },
  }
}

function keyed(
  header: { type: number; what: string; link: LinkKey; up?: boolean | undefined },
  attributes: (writer: MessageWriter) => void,
): Request {
  const { type, what, link, up } = header
  return {
    type,
    what: link === 0 ? what : `${what} link ${link}`,
    flags: 0,
    body: (writer) => {
      const index = typeof link === 'number' ? link : 0
      interfaceHeader(writer, index, up === true ? rt.IFF_UP : 0, up === undefined ? 0 : rt.IFF_UP)
      if (typeof link === 'string') writer.stringAttribute(rt.IFLA_IFNAME, link)
      attributes(writer)
    },
  }
}

function common(writer: MessageWriter, link: { name: string; mac?: Mac; mtu: number }): void {
  writer.stringAttribute(rt.IFLA_IFNAME, link.name)
  if (link.mac !== undefined) writer.bytesAttribute(rt.IFLA_ADDRESS, macToBytes(link.mac))
  writer.u32Attribute(rt.IFLA_MTU, link.mtu)
  writer.u32Attribute(rt.IFLA_GROUP, linkGroup)
}

/** struct ifinfomsg. */
function interfaceHeader(
  writer: MessageWriter,
  index: number,
  flags: number,
  changed: number,
): void {
  writer.u32(rt.AF_UNSPEC)
  writer.u32(index)
  writer.u32(flags)
  writer.u32(changed)
}
