import { type Ip, ipBits, ipToBytes } from '../../../net/ip.ts'
import { type Mac, macToBytes } from '../../../net/mac.ts'
import type { Vni } from '../../../net/vni.ts'
import type { MessageWriter, Request } from './message.ts'
import { linkGroup } from './names.ts'
import * as rt from './rtnetlink.ts'

/** Requests that make, change and remove links. Every link made carries our group from the start. */

/** How a link is addressed: by index, or by name while its index is not known. */
type LinkKey = number | string

export interface LinkChange {
  readonly alias?: string
  readonly mac?: Mac
  readonly mtu?: number
  readonly master?: number
  readonly up?: boolean
  /** As a port of a bridge: whether it learns, and whether frames for unknown stations leave by it. */
  readonly port?: { readonly learning: boolean; readonly flood: boolean }
}

/** A bridge without spanning tree, without multicast snooping and without a VLAN of its own. */
export function createBridge(name: string, mac: Mac, mtu: number): Request {
  return create(`making bridge ${name}`, (writer) => {
    common(writer, { name, mac, mtu })
    writer.nest(rt.IFLA_LINKINFO, () => {
      writer.stringAttribute(rt.IFLA_INFO_KIND, 'bridge')
      writer.nest(rt.IFLA_INFO_DATA, () => {
        writer.u32Attribute(rt.IFLA_BR_STP_STATE, 0)
        writer.u8Attribute(rt.IFLA_BR_MCAST_SNOOPING, 0)
        // Otherwise every FDB entry of the bridge exists twice, once for VLAN 1.
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
  /** The namespace to put the device into, and the bridge there to put it on. */
  readonly netnsFd: number
  readonly master: number
}

/**
 * A VXLAN device whose UDP socket lies in the namespace of the socket that sends this, and which
 * itself lies in `netnsFd`. It learns nothing, sends from `vtep` alone, and answers ARP and neighbour
 * discovery from its neighbour table instead of sending them on.
 */
export function createVxlan(vxlan: NewVxlan): Request {
  const local = ipBits(vxlan.vtep) === 32 ? rt.IFLA_VXLAN_LOCAL : rt.IFLA_VXLAN_LOCAL6
  return create(`making VXLAN device ${vxlan.name} with VNI ${vxlan.vni}`, (writer) => {
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
  /** The end that lies in the namespace of the socket that sends this, and its bridge. */
  readonly name: string
  readonly master: number
  readonly mtu: number
  /** The other end, which has the MAC address, and its namespace. */
  readonly peerName: string
  readonly peerMac: Mac
  readonly peerNetnsFd: number
}

/** Both ends of a veth pair, each in its namespace, in one message. Both are down. */
export function createVethPair(pair: NewVethPair): Request {
  return create(`making veth pair ${pair.name}, ${pair.peerName}`, (writer) => {
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

/** Changes what is given and nothing else. For `port` the link must be on a bridge already. */
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
        })
      })
    writer.u32Attribute(rt.IFLA_GROUP, linkGroup)
  })
}

/** Keeps the kernel from giving the link an IPv6 address of its own. Fails where there is no IPv6. */
export function noOwnAddresses(link: LinkKey): Request {
  return keyed({ type: rt.RTM_NEWLINK, what: 'setting the address mode of', link }, (writer) =>
    writer.nest(rt.IFLA_AF_SPEC, () =>
      writer.nest(rt.AF_INET6, () =>
        writer.u8Attribute(rt.IFLA_INET6_ADDR_GEN_MODE, rt.IN6_ADDR_GEN_MODE_NONE),
      ),
    ),
  )
}

/** Removes one link; with `netnsId` one in the namespace that the kernel knows by that number. */
export function deleteLink(link: LinkKey, netnsId?: number): Request {
  return keyed({ type: rt.RTM_DELLINK, what: 'removing', link }, (writer) => {
    if (netnsId !== undefined) writer.u32Attribute(rt.IFLA_TARGET_NETNSID, netnsId)
  })
}

/** Removes all our links of a namespace at once: one wait of the kernel's, not one for each link. */
export function deleteAllOurs(): Request {
  return keyed({ type: rt.RTM_DELLINK, what: 'removing all our links', link: 0 }, (writer) =>
    writer.u32Attribute(rt.IFLA_GROUP, linkGroup),
  )
}

/** Asks for one link, or with 0 for all; with `netnsId` in the namespace known by that number. */
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
