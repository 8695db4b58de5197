import { type Ip, ipFromBytes } from '../../../net/ip.ts'
import { type Mac, macFromBytes } from '../../../net/mac.ts'
import type { Vni } from '../../../net/vni.ts'
import type { EndpointTraffic } from '../../dataplane.ts'
import { deleteAllOurs, deleteLink, getLinkWithCounters, getLinks } from './link-requests.ts'
import { type Message, readAttributes, readString } from './message.ts'
import { NetlinkError, type NetlinkSocket } from './netlink-socket.ts'
import * as rt from './rtnetlink.ts'

/** A link as the kernel describes it, as far as we read it. */
export interface Link {
  readonly index: number
  readonly name: string
  readonly kind: string
  readonly mac: Mac | null
  readonly mtu: number
  readonly up: boolean
  /** Whether the wire is there: of a veth, whether the other end is up. */
  readonly carrier: boolean
  /** Index of the bridge it is on; 0 for none. */
  readonly master: number
  readonly alias: string
  readonly group: number
  /**
   * Of a veth: the index of the other end, in the namespace of `linkNetnsId`, null being its own.
   */
  readonly peerIndex: number
  readonly linkNetnsId: number | null
  readonly vxlan: VxlanAttributes | null
  /** Of a bridge: whether it learns which ports joined which group, and asks for it. */
  readonly snooping: boolean | null
  readonly port: PortAttributes | null
}

interface VxlanAttributes {
  readonly vni: Vni
  readonly vtep: Ip | null
  readonly port: number
  /** No learning, ARP proxy, no miss notifications: as ours must be. */
  readonly isProxyOnly: boolean
}

interface PortAttributes {
  readonly learning: boolean
  readonly flood: boolean
}

const interfaceHeaderBytes = 16
const noAttributes: Map<number, Buffer> = new Map()

/** The link with that index or name in the socket's namespace; null when there is none. */
export function findLink(socket: NetlinkSocket, key: number | string): Link | null {
  try {
    return readLink(socket.get(getLinks(key)))
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') return null
    throw error
  }
}

/** All links in the socket's namespace. */
export function listLinks(socket: NetlinkSocket): Link[] {
  return socket.dump(getLinks()).map(readLink)
}

/** What a link has sent and received since it was made: `struct rtnl_link_stats64`. */
export function readTraffic(socket: NetlinkSocket, link: number): EndpointTraffic {
  const { body } = socket.get(getLinkWithCounters(link))
  const counters = readAttributes(body.subarray(interfaceHeaderBytes)).get(rt.IFLA_STATS64)
  const counter = (place: number): number => Number(counters?.readBigUInt64LE(8 * place) ?? 0)
  return {
    received: { frames: counter(0), bytes: counter(2) },
    sent: { frames: counter(1), bytes: counter(3) },
  }
}

/** Removes a link, which may disappear by itself at the same time. */
export function deleteLinkIfExists(socket: NetlinkSocket, index: number): void {
  const [error] = socket.send([deleteLink(index)]).values()
  if (error !== undefined && error.code !== 'ENODEV') throw error
}

/** As `deleteLinkIfExists`, without blocking this thread. */
export async function deleteLinkFromThread(socket: NetlinkSocket, index: number): Promise<void> {
  await unlessGone(socket.sendFromThread(deleteLink(index)))
}

/** Removes all our links of the socket's namespace, without blocking this thread. */
export async function deleteAllFromThread(socket: NetlinkSocket): Promise<void> {
  await unlessGone(socket.sendFromThread(deleteAllOurs()))
}

async function unlessGone(removal: Promise<void>): Promise<void> {
  try {
    await removal
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== 'ENODEV') throw error
  }
}

/** Reads an RTM_NEWLINK message. */
export function readLink(message: Message): Link {
  const attributes = readAttributes(message.body.subarray(interfaceHeaderBytes))
  const info = nested(attributes, rt.IFLA_LINKINFO)
  const kind = readString(info.get(rt.IFLA_INFO_KIND))
  const mac = attributes.get(rt.IFLA_ADDRESS)
  const u32 = (type: number): number => attributes.get(type)?.readUInt32LE() ?? 0
  return {
    index: message.body.readUInt32LE(4),
    name: readString(attributes.get(rt.IFLA_IFNAME)),
    kind,
    mac: mac?.length === 6 ? macFromBytes(mac) : null,
    mtu: u32(rt.IFLA_MTU),
    up: (message.body.readUInt32LE(8) & rt.IFF_UP) !== 0,
    carrier: (message.body.readUInt32LE(8) & rt.IFF_LOWER_UP) !== 0,
    master: u32(rt.IFLA_MASTER),
    alias: readString(attributes.get(rt.IFLA_IFALIAS)),
    group: u32(rt.IFLA_GROUP),
    peerIndex: u32(rt.IFLA_LINK),
    linkNetnsId: attributes.get(rt.IFLA_LINK_NETNSID)?.readInt32LE() ?? null,
    snooping: kind === 'bridge' ? readSnooping(nested(info, rt.IFLA_INFO_DATA)) : null,
    vxlan: kind === 'vxlan' ? readVxlan(nested(info, rt.IFLA_INFO_DATA)) : null,
    port:
      readString(info.get(rt.IFLA_INFO_SLAVE_KIND)) === 'bridge'
        ? readPort(nested(info, rt.IFLA_INFO_SLAVE_DATA))
        : null,
  }
}

function readSnooping(data: Map<number, Buffer>): boolean {
  return [rt.IFLA_BR_MCAST_SNOOPING, rt.IFLA_BR_MCAST_QUERIER].every(
    (type) => data.get(type)?.[0] === 1,
  )
}

function readVxlan(data: Map<number, Buffer>): VxlanAttributes {
  const flag = (type: number): boolean => data.get(type)?.[0] === 1
  const local = data.get(rt.IFLA_VXLAN_LOCAL) ?? data.get(rt.IFLA_VXLAN_LOCAL6)
  return {
    vni: (data.get(rt.IFLA_VXLAN_ID)?.readUInt32LE() ?? 0) as Vni,
    vtep: local === undefined ? null : ipFromBytes(local),
    port: data.get(rt.IFLA_VXLAN_PORT)?.readUInt16BE() ?? 0,
    isProxyOnly:
      flag(rt.IFLA_VXLAN_PROXY) &&
      ![rt.IFLA_VXLAN_LEARNING, rt.IFLA_VXLAN_L2MISS, rt.IFLA_VXLAN_L3MISS].some(flag),
  }
}

function readPort(data: Map<number, Buffer>): PortAttributes {
  return {
    learning: data.get(rt.IFLA_BRPORT_LEARNING)?.[0] === 1,
    flood: data.get(rt.IFLA_BRPORT_UNICAST_FLOOD)?.[0] === 1,
  }
}

function nested(attributes: Map<number, Buffer>, type: number): Map<number, Buffer> {
  const value = attributes.get(type)
  return value === undefined ? noAttributes : readAttributes(value)
}
