import type { Ip } from '../../../net/ip.ts'
import { ipBits, ipFromBytes, ipToBytes } from '../../../net/ip.ts'
import type { Vni } from '../../../net/vni.ts'
import {
  count,
  equals,
  lookup,
  meta,
  network,
  notrack,
  payload,
  register,
  transport,
  verdict,
} from './expressions.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'
import type { Expression, TableSpec } from './nftables.ts'
import { openGossipFilter } from './gossip-filter.ts'
import type { HostFilter, Tunnel } from './host-filter.ts'
import { Table } from './table.ts'

/**
 * What the host lets into our VXLAN devices: frames of an overlay only from the VTEPs that have
 * endpoints on it. Anybody else on the underlay, any container too, can send UDP to the port, and
 * VXLAN itself (RFC 7348, section 7) checks nothing. VNIs that are not ours are let through.
 *
 * Ours are kept out of connection tracking, both ways: each direction has source ports of its own,
 * so that it never sees a connection, and it costs a tenth of the way.
 */

/** Before connection tracking. */
const rawPriority = -300

const ports = 'ports'
const vnis = 'vnis'
const sources4 = 'sources4'
const sources6 = 'sources6'
/** The counter of what is dropped. */
const tunnelDropReason = 'tunnel'

/** NFPROTO_IPV4 and NFPROTO_IPV6 of <linux/netfilter.h>. */
const protocols = { 32: 2, 128: 10 } as const
/** Data types of `nft`: an integer, an IPv4 and an IPv6 address, a port. */
const [integer, ipv4Address, ipv6Address, service] = [4, 7, 8, 13]

const udp = [meta('l4proto'), equals(Uint8Array.of(17))]
const vniTo = (n: number): Expression => payload(transport, 12, 3, register(n))
const ours = [...udp, payload(transport, 2, 2), vniTo(1), lookup(vnis, 'in')]
const toPort = [...udp, payload(transport, 2, 2), lookup(ports, 'in')]
const fromMember = (bits: 32 | 128, set: string): Expression[] => [
  meta('nfproto'),
  equals(Uint8Array.of(protocols[bits])),
  ...ours,
  vniTo(0),
  payload(network, bits === 32 ? 12 : 8, bits / 8, register(1)),
  lookup(set, 'in'),
  notrack(),
  verdict('accept'),
]

/** The table in the host's namespace. */
const tunnelFilter: TableSpec = {
  family: 'inet',
  name: 'ts-overlay-tunnels',
  counters: [tunnelDropReason],
  sets: [
    { name: ports, keyBytes: 4, keyType: service },
    { name: vnis, keyBytes: 8, keyType: (service << 6) | integer },
    { name: sources4, keyBytes: 8, keyType: (integer << 6) | ipv4Address },
    { name: sources6, keyBytes: 20, keyType: (integer << 6) | ipv6Address },
  ],
  chains: [
    {
      name: 'prerouting',
      hook: 0,
      priority: rawPriority,
      rules: [
        fromMember(32, sources4),
        fromMember(128, sources6),
        [...ours, count(tunnelDropReason), verdict('drop')],
        [...toPort, vniTo(0), verdict('accept')],
        // No VNI to load: a first fragment that ends before it.
        [...toPort, count(tunnelDropReason), verdict('drop')],
      ],
    },
    { name: 'output', hook: 3, priority: rawPriority, rules: [[...ours, notrack()]] },
  ],
}

/** The filter of the tunnels of all overlays on this host. */
export class TunnelFilter implements HostFilter {
  readonly isSupported = true
  readonly isActive = true
  readonly #table: Table
  readonly #socket: NetlinkSocket
  readonly #gossip: Table | null
  #hasTunnels = false

  /** `socket` is a NETLINK_NETFILTER socket of the host's namespace. */
  constructor(socket: NetlinkSocket, gossipPort?: number) {
    this.#socket = socket
    this.#table = new Table(socket, tunnelFilter)
    this.#gossip = gossipPort === undefined ? null : openGossipFilter(socket, gossipPort)
  }

  /** Throws when the kernel has no nf_tables for this. */
  probe(): void {
    this.#table.probe()
  }

  /** Limits the gossip port, and looks at the rules for tunnels. @returns what was changed. */
  ensureHost(): string[] {
    const gossip = this.#gossip?.ensure() ?? []
    return [...gossip, ...(this.#hasTunnels ? this.#table.ensure() : [])]
  }

  /** Filters a tunnel. @returns what was changed, in words; empty when all was right. */
  ensure(tunnel: Tunnel): string[] {
    this.#hasTunnels = true
    const changed = this.#table.ensure()
    const key = tunnelKey(tunnel)
    this.#table.replace(ports, (other) => other.equals(portKey(key)), [portKey(key)])
    const added = this.#table.replace(vnis, (other) => other.equals(key), [key])
    return added === 0 ? changed : [...changed, `tunnel of VNI ${tunnel.vni} filtered`]
  }

  /** Filters a tunnel no more; with the last one the table goes. */
  release(tunnel: Tunnel): void {
    if (!this.#table.exists()) return
    this.setSources(tunnel.vni, [])
    const key = tunnelKey(tunnel)
    this.#table.replace(vnis, (other) => other.equals(key), [])
    const kept = this.#table.elements(vnis)
    const isUsed = (port: Buffer): boolean => kept.some((other) => portKey(other).equals(port))
    this.#table.replace(ports, (port) => !isUsed(port), [])
    this.#hasTunnels = kept.length > 0
    if (!this.#hasTunnels) this.#table.remove()
  }

  /** The VTEPs that may send frames of an overlay. */
  sources(vni: Vni): Ip[] {
    if (!this.#table.exists()) return []
    const keys = [sources4, sources6].flatMap((set) => this.#table.elements(set))
    return keys.filter((key) => isOf(vni, key)).map((key) => ipFromBytes(key.subarray(4))!)
  }

  dropped(): number {
    return this.#table.exists() ? (this.#table.counters().get(tunnelDropReason) ?? 0) : 0
  }

  /** Lets these VTEPs send frames of an overlay, and no others. */
  setSources(vni: Vni, vteps: readonly Ip[]): void {
    for (const [set, bits] of [[sources4, 32] as const, [sources6, 128] as const]) {
      const some = vteps.filter((vtep) => ipBits(vtep) === bits)
      const keys = some.map((vtep) => Buffer.concat([vniKey(vni), ipToBytes(vtep)]))
      this.#table.replace(set, (key) => isOf(vni, key), keys)
    }
  }

  /** Removes the table. None is no error. */
  remove(): void {
    this.#table.remove()
  }

  close(): void {
    this.#socket.close()
  }
}

function tunnelKey({ port, vni }: Tunnel): Buffer {
  return Buffer.from([port >> 8, port & 255, 0, 0, ...vniKey(vni)])
}

/** The port in a key of `vnis`, as a key of `ports`. */
function portKey(tunnel: Buffer): Buffer {
  return tunnel.subarray(0, 4)
}

function vniKey(vni: Vni): Buffer {
  return Buffer.from([vni >>> 16, (vni >>> 8) & 255, vni & 255, 0])
}

function isOf(vni: Vni, key: Buffer): boolean {
  return key.subarray(0, 4).equals(vniKey(vni))
}
