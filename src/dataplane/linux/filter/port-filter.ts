import type { Ip } from '../../../net/ip.ts'
import { ipFromBytes, ipToBytes } from '../../../net/ip.ts'
import { type Mac, macFromBytes, macToBytes } from '../../../net/mac.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'
import { vxlanName } from '../netlink/names.ts'
import {
  and,
  beyondRate,
  count,
  differs,
  equals,
  interfaceKey,
  link,
  lookup,
  meta,
  network,
  payload,
  register,
  transport,
  verdict,
} from './expressions.ts'
import { groupSenders } from './group-senders.ts'
import type { Expression, TableSpec } from './nftables.ts'
import { Table } from './table.ts'

/**
 * What a container may send on its port of an overlay's bridge: frames from the MAC address and the
 * IP addresses that it was given, as ARP (RFC 826), IPv4 and IPv6, without VLAN tags; no router
 * advertisements, no redirects, no answers of a DHCP server, no questions who is in a group, no
 * neighbour advertisements but for its own addresses; and, without multicast, a limited rate of
 * broadcasts. Frames from the VXLAN device are the tunnel
 * filter's.
 */

/** Frames to groups and broadcasts that a container may send; the rest is dropped. */
const groupFrames = { perSecond: 100, burst: 200 } as const

const interfaceBytes = 16
/** Data types of `nft`: interface name, MAC, IPv4 and IPv6 address. */
const [ifname, etherAddress, ipv4Address, ipv6Address] = [41, 9, 7, 8]
const concatenated = (first: number, second: number): number => (first << 6) | second

const stations = 'stations'
const sources4 = 'sources4'
const sources6 = 'sources6'
const sourceSets = [stations, sources4, sources6] as const

/** Why frames are dropped: the names of the counters. */
const portDropReasons = [
  'vlan',
  'protocol',
  'mac',
  'broadcast',
  'arp',
  'ipv4',
  'ipv6',
  'router',
  'neighbour',
  'dhcp',
] as const
type Reason = (typeof portDropReasons)[number]

const bytes = (...values: number[]): Uint8Array => Uint8Array.of(...values)
const drop = (reason: Reason): Expression[] => [count(reason), verdict('drop')]

const etherType = payload(link, 12, 2)
const arp = [etherType, equals(bytes(0x08, 0x06))]
const ipv4 = [etherType, equals(bytes(0x08, 0x00))]
const ipv6 = [etherType, equals(bytes(0x86, 0xdd))]
const udp = [meta('l4proto'), equals(bytes(17))]
const icmpv6 = [meta('l4proto'), equals(bytes(58))]
const port = meta('iifname')
/** Behind the interface's 16 bytes in a concatenated key. */
const second = register(4)
const unspecified6 = [payload(network, 8, 16), equals(new Uint8Array(16))]
const icmpv6Type = (type: number): Expression[] => [
  ...ipv6,
  ...icmpv6,
  payload(transport, 0, 1),
  equals(bytes(type)),
]
const targetNotAssigned = [port, payload(transport, 8, 16, second), lookup(sources6, 'not in')]

/** IGMP and the type of its queries (RFC 3376), and the type of MLD's (RFC 3810). */
const igmp = [meta('l4proto'), equals(bytes(2))]
const igmpQuery = 0x11
const mldQuery = 130
/** ICMPv6 types of RFC 4861. */
const routerAdvertisement = 134
const neighbourSolicitation = 135
const neighbourAdvertisement = 136
const redirect = 137

const limit: readonly Expression[] = [
  payload(link, 0, 1),
  and(bytes(1)),
  equals(bytes(1)),
  port,
  beyondRate(groupSenders.name, groupFrames),
  ...drop('broadcast'),
]

const rules: readonly (readonly Expression[])[] = [
  [port, equals(interfaceKey(vxlanName)), verdict('accept')],
  [etherType, equals(bytes(0x81, 0x00)), ...drop('vlan')],
  [etherType, equals(bytes(0x88, 0xa8)), ...drop('vlan')],
  [
    etherType,
    differs(bytes(0x08, 0x06)),
    differs(bytes(0x08, 0x00)),
    differs(bytes(0x86, 0xdd)),
    ...drop('protocol'),
  ],
  [port, payload(link, 6, 6, second), lookup(stations, 'not in'), ...drop('mac')],
  limit,
  // Ethernet and IPv4 with their lengths, or the offsets below mean something else.
  [...arp, payload(network, 0, 6), differs(bytes(0, 1, 8, 0, 6, 4)), ...drop('arp')],
  [...arp, port, payload(network, 8, 6, second), lookup(stations, 'not in'), ...drop('arp')],
  // A probe for duplicates has no sender address: RFC 5227 section 1.1.
  [
    ...arp,
    payload(network, 14, 4),
    differs(bytes(0, 0, 0, 0)),
    port,
    payload(network, 14, 4, second),
    lookup(sources4, 'not in'),
    ...drop('arp'),
  ],
  [...ipv4, port, payload(network, 12, 4, second), lookup(sources4, 'not in'), ...drop('ipv4')],
  [...ipv4, ...udp, payload(transport, 0, 2), equals(bytes(0, 67)), ...drop('dhcp')],
  [...ipv6, ...udp, payload(transport, 0, 2), equals(bytes(547 >> 8, 547 & 255)), ...drop('dhcp')],
  [...ipv4, ...igmp, payload(transport, 0, 1), equals(bytes(igmpQuery)), ...drop('router')],
  [...icmpv6Type(mldQuery), ...drop('router')],
  [...icmpv6Type(routerAdvertisement), ...drop('router')],
  [...icmpv6Type(redirect), ...drop('router')],
  [...icmpv6Type(neighbourAdvertisement), ...targetNotAssigned, ...drop('neighbour')],
  // Without a source address a host asks whether somebody has the one that it wants: RFC 4862.
  [
    ...icmpv6Type(neighbourSolicitation),
    ...unspecified6,
    ...targetNotAssigned,
    ...drop('neighbour'),
  ],
  [...ipv6, ...unspecified6, ...icmpv6, verdict('accept')],
  [...ipv6, port, payload(network, 8, 16, second), lookup(sources6, 'not in'), ...drop('ipv6')],
]

const fromPorts = { name: 'from-ports', hook: 0, priority: -300, rules }

/** The table in an overlay's namespace. */
const portFilter: TableSpec = {
  family: 'bridge',
  name: 'ts-overlay-ports',
  counters: portDropReasons,
  sets: [
    { name: stations, keyBytes: 24, keyType: concatenated(ifname, etherAddress) },
    { name: sources4, keyBytes: 20, keyType: concatenated(ifname, ipv4Address) },
    { name: sources6, keyBytes: 32, keyType: concatenated(ifname, ipv6Address) },
    groupSenders,
  ],
  chains: [fromPorts],
}

/** What one port may send from. */
export interface PortSource {
  readonly mac: Mac
  readonly ips: readonly Ip[]
}

/** The filter of one overlay's ports. */
export class PortFilter {
  readonly #table: Table

  /**
   * `socket` is a NETLINK_NETFILTER socket of the overlay's namespace. With `multicast`, frames to
   * groups are limited where they leave the host.
   */
  constructor(socket: NetlinkSocket, multicast = false) {
    const unlimited = { ...fromPorts, rules: rules.filter((rule) => rule !== limit) }
    this.#table = new Table(socket, multicast ? { ...portFilter, chains: [unlimited] } : portFilter)
  }

  /** Makes or repairs the rules. @returns what was changed, in words; empty when all was right. */
  ensure(): string[] {
    return this.#table.ensure()
  }

  /** Removes the filter: ports may send anything. None is no error. */
  remove(): void {
    this.#table.remove()
  }

  /** Whether ports are filtered. */
  exists(): boolean {
    return this.#table.exists()
  }

  /**
   * Lets a port send from these addresses only; null for none.
   * @returns what changed, in words.
   */
  set(port: string, source: PortSource | null): string[] {
    const wanted = source === null ? [[], [], []] : keysOf(port, source)
    const owns = (key: Buffer): boolean => portOfKey(key) === port
    let changed = 0
    for (const [index, set] of sourceSets.entries())
      changed += this.#table.replace(set, owns, wanted[index]!)
    return changed === 0 ? [] : [`addresses of port ${port} repaired`]
  }

  /** What each port may send from, less link-local addresses; a port with several MACs has none. */
  sources(): Map<string, PortSource> {
    const [macs, ...ips] = sourceSets.map((set) => this.#table.elements(set))
    const found = new Map<string, { mac: Mac; ips: Ip[] }>()
    const odd = new Set<string>()
    for (const key of macs!) {
      const port = portOfKey(key)
      if (found.has(port)) odd.add(port)
      const mac = macFromBytes(key.subarray(interfaceBytes, interfaceBytes + 6))
      found.set(port, { mac, ips: [] })
    }
    for (const port of odd) found.delete(port)
    for (const key of ips.flat()) {
      const source = found.get(portOfKey(key))
      const address = key.subarray(interfaceBytes)
      if (source !== undefined && !address.equals(linkLocal(source.mac)))
        source.ips.push(ipFromBytes(address)!)
    }
    return found
  }

  /** Frames dropped since the rules were made, by reason. */
  dropped(): Map<string, number> {
    return new Map([...this.#table.counters()].filter(([, frames]) => frames > 0))
  }
}

/**
 * The elements that let a port send, by set. A port with an IPv6 address also sends from the
 * link-local one that its kernel makes of the MAC address (RFC 4291, appendix A).
 */
function keysOf(port: string, { mac, ips }: PortSource): Buffer[][] {
  const key = (value: Uint8Array, length: number): Buffer =>
    Buffer.concat([interfaceKey(port), value, Buffer.alloc(length - value.length)])
  const addresses = ips.map((ip) => ipToBytes(ip))
  const own4 = addresses.filter((address) => address.length === 4)
  const own6 = addresses.filter((address) => address.length === 16)
  if (own6.length > 0) own6.push(linkLocal(mac))
  return [
    [key(macToBytes(mac), 8)],
    own4.map((address) => key(address, 4)),
    own6.map((address) => key(address, 16)),
  ]
}

function portOfKey(key: Buffer): string {
  return key.toString('utf8', 0, interfaceBytes).replace(/\0.*$/, '')
}

/** The link-local address that a kernel makes of a MAC address (RFC 4291, appendix A). */
export function linkLocal(mac: Mac): Buffer {
  const [a, b, c, d, e, f] = macToBytes(mac)
  return Buffer.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a! ^ 2, b!, c!, 0xff, 0xfe, d!, e!, f!])
}
