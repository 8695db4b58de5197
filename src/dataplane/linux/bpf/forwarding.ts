import { type Ip, ipToBytes } from '../../../net/ip.ts'
import { type Mac, macToBytes } from '../../../net/mac.ts'
import type { Traffic } from '../../dataplane.ts'
import type { MapShape } from './bpf-call.ts'
import * as i from './instructions.ts'

/**
 * The program of the fast path, and its maps. It sees each frame that comes from a container or
 * through the tunnel before the bridge does, and forwards those whose way is known: to the VXLAN
 * device, which still finds the VTEP in its own FDB, or into a container of this host. All others
 * it leaves to the bridge and to the filter there. What it forwards the filter would have let pass:
 *
 * - IPv4 without options and fragments, and TCP and UDP directly in IPv6; no VLAN tag, no ARP, no
 *   ICMPv6, no answers of a DHCP server; to one station;
 * - from a container only with a source that `sources` has for the port.
 *
 * A row that is missing costs speed and nothing else.
 */

/** Port, protocol, IP and MAC address that a frame may have as its source → its counters. */
const sources = { name: 'tso_sources', keyBytes: 32, valueBytes: 16, maxEntries: 4096 }
/** MAC address of a container here → counters of frames to it, index of its port. */
const ports = { name: 'tso_ports', keyBytes: 8, valueBytes: 24, maxEntries: 1024 }
/** MAC address of a container elsewhere. A copy of the keys of the FDB, which may lag behind. */
const peers = { name: 'tso_peers', keyBytes: 8, valueBytes: 4, maxEntries: 65_536 }

export const mapShapes = { sources, ports, peers } as const satisfies Record<string, MapShape>
export type MapName = keyof typeof mapShapes

/** Offsets in struct __sk_buff of <linux/bpf.h>. */
const context = { length: 0, vlan: 20, ifindex: 40, data: 76, dataEnd: 80, gsoSize: 176 } as const
/** Functions of the kernel: enum bpf_func_id. */
const helpers = { lookup: 1, redirect: 23, changeType: 32, redirectPeer: 155 } as const
/** Of <linux/pkt_cls.h>: the next filter decides, and after the last one the bridge. */
const TC_ACT_UNSPEC = -1
const PACKET_HOST = 0

const ethernetBytes = 14
/** Up to the ports of UDP. */
const ipv4HeaderBytes = ethernetBytes + 20 + 4
const ipv6HeaderBytes = ethernetBytes + 40 + 4
/** More fragments follow, or this is not the first. */
const fragmentBits = swap(0x3fff)
/** Numbers in network order, as the program loads them. */
const etherTypes = { ipv4: swap(0x0800), ipv6: swap(0x86dd) } as const
const dhcpServerPorts = { ipv4: swap(67), ipv6: swap(547) } as const
const tcp = 6
const udp = 17

/** Places in the frame of the stack. */
const sourceKeyAt = -32
const stationKeyAt = -40
/** Offset of the port's index in a value of `ports`. */
const portIndexOffset = 16

/** What a program is made for. */
export interface ForwardingConfig {
  /** Index of the overlay's VXLAN device. */
  readonly vxlan: number
  readonly mtu: number
  /** Whether containers may send from their own addresses only. */
  readonly checksSource: boolean
}

/** The instructions, with the descriptors of the maps. */
export function forwardingProgram(
  config: ForwardingConfig,
  maps: Readonly<Record<MapName, number>>,
): Buffer {
  return i.assemble([
    ...frame(config),
    ...(config.checksSource ? source(maps.sources) : [i.moveValue(9, 0)]),
    ...destination(config, maps),
    i.label('bridge'),
    i.moveValue(0, TC_ACT_UNSPEC),
    i.exit,
  ])
}

/**
 * r6 the context, r7 the frame, r8 its end, r3 its protocol; goes on for a frame from a container,
 * to `tunnelled` for one from the tunnel.
 */
function frame({ vxlan, mtu }: ForwardingConfig): i.Line[] {
  return [
    i.move(6, 1),
    i.load('word', 7, 6, context.data),
    i.load('word', 8, 6, context.dataEnd),
    ...within(ipv4HeaderBytes),
    i.load('word', 2, 6, context.vlan),
    i.jumpIf(2, '!=', 0, 'bridge'),
    // A frame of several segments is cut to size later.
    i.load('word', 2, 6, context.gsoSize),
    i.jumpIf(2, '!=', 0, 'segmented'),
    i.load('word', 2, 6, context.length),
    i.jumpIf(2, '>', mtu + ethernetBytes, 'bridge'),
    i.label('segmented'),
    i.load('byte', 2, 7, 0),
    i.jumpIf(2, 'sets', 1, 'bridge'),
    i.load('half', 3, 7, 12),
    i.jumpIf(3, '==', etherTypes.ipv4, 'ip'),
    i.jumpIf(3, '!=', etherTypes.ipv6, 'bridge'),
    i.label('ip'),
    i.load('word', 2, 6, context.ifindex),
    i.jumpIf(2, '==', vxlan, 'tunnelled'),
  ]
}

/** r9 the row of `sources`. */
function source(map: number): i.Line[] {
  const address = sourceKeyAt + 8
  return [
    i.store('word', 10, sourceKeyAt, 2),
    i.store('word', 10, sourceKeyAt + 4, 3),
    i.jumpIf(3, '==', etherTypes.ipv4, 'ipv4'),
    ...within(ipv6HeaderBytes),
    i.load('byte', 2, 7, ethernetBytes + 6),
    i.jumpIf(2, '==', tcp, 'ipv6 source'),
    i.jumpIf(2, '!=', udp, 'bridge'),
    i.load('half', 2, 7, ethernetBytes + 40),
    i.jumpIf(2, '==', dhcpServerPorts.ipv6, 'bridge'),
    i.label('ipv6 source'),
    ...[0, 4, 8, 12].flatMap((at) => [
      i.load('word', 2, 7, ethernetBytes + 8 + at),
      i.store('word', 10, address + at, 2),
    ]),
    i.jump('station'),
    i.label('ipv4'),
    i.load('byte', 2, 7, ethernetBytes),
    i.jumpIf(2, '!=', 0x45, 'bridge'),
    i.load('half', 2, 7, ethernetBytes + 6),
    i.jumpIf(2, 'sets', fragmentBits, 'bridge'),
    i.load('byte', 2, 7, ethernetBytes + 9),
    i.jumpIf(2, '!=', udp, 'ipv4 source'),
    i.load('half', 2, 7, ethernetBytes + 20),
    i.jumpIf(2, '==', dhcpServerPorts.ipv4, 'bridge'),
    i.label('ipv4 source'),
    i.load('word', 2, 7, ethernetBytes + 12),
    i.store('word', 10, address, 2),
    ...[4, 8, 12].map((at) => i.storeValue('word', 10, address + at, 0)),
    i.label('station'),
    ...copyMac(6, sourceKeyAt + 24),
    ...lookup(map, sourceKeyAt),
    i.jumpIf(0, '==', 0, 'bridge'),
    i.move(9, 0),
  ]
}

function destination(
  { vxlan }: ForwardingConfig,
  maps: Readonly<Record<MapName, number>>,
): i.Line[] {
  return [
    ...copyMac(0, stationKeyAt),
    ...lookup(maps.ports, stationKeyAt),
    i.jumpIf(0, '!=', 0, 'local'),
    ...lookup(maps.peers, stationKeyAt),
    i.jumpIf(0, '==', 0, 'bridge'),
    ...count(9, 'counted'),
    i.moveValue(1, vxlan),
    i.moveValue(2, 0),
    i.call(helpers.redirect),
    i.exit,
    // Not to the tunnel again: here are ports only.
    i.label('tunnelled'),
    i.moveValue(9, 0),
    ...copyMac(0, stationKeyAt),
    ...lookup(maps.ports, stationKeyAt),
    i.jumpIf(0, '==', 0, 'bridge'),
    i.label('local'),
    i.load('word', 7, 0, portIndexOffset),
    i.load('word', 2, 6, context.ifindex),
    i.jumpIfRegisters(2, '==', 7, 'bridge'),
    ...count(0, 'received'),
    ...count(9, 'sent'),
    // The kernel marks as another host's what is not for the device where it arrives.
    i.move(1, 6),
    i.moveValue(2, PACKET_HOST),
    i.call(helpers.changeType),
    i.move(1, 7),
    i.moveValue(2, 0),
    i.call(helpers.redirectPeer),
    i.exit,
  ]
}

/** Leaves shorter frames to the bridge. */
function within(bytes: number): i.Line[] {
  return [i.move(2, 7), i.addValue(2, bytes), i.jumpIfRegisters(2, '>', 8, 'bridge')]
}

/** Six bytes of the frame and two of zero, to a key on the stack. */
function copyMac(from: number, to: number): i.Line[] {
  return [
    i.load('word', 2, 7, from),
    i.store('word', 10, to, 2),
    i.load('half', 2, 7, from + 4),
    i.store('word', 10, to + 4, 2),
  ]
}

/** r0 the value in a map, or null. */
function lookup(map: number, keyAt: number): i.Line[] {
  return [i.loadMap(1, map), i.move(2, 10), i.addValue(2, keyAt), i.call(helpers.lookup)]
}

/** Adds the frame to the counters of a row, where there is one. */
function count(row: i.Register, done: i.Label): i.Line[] {
  return [
    i.jumpIf(row, '==', 0, done),
    i.moveValue(2, 1),
    i.atomicAdd(row, 0, 2),
    i.load('word', 2, 6, context.length),
    i.atomicAdd(row, 8, 2),
    i.label(done),
  ]
}

/** The key of `ports` and `peers`. */
export function stationKey(mac: Mac): Buffer {
  const key = Buffer.alloc(mapShapes.ports.keyBytes)
  key.set(macToBytes(mac))
  return key
}

/** The key of `sources`. */
export function sourceKey(port: number, mac: Mac, ip: Ip | Uint8Array): Buffer {
  const key = Buffer.alloc(mapShapes.sources.keyBytes)
  const address = typeof ip === 'string' ? ipToBytes(ip) : ip
  key.writeUInt32LE(port, 0)
  key.writeUInt32LE(address.length === 4 ? etherTypes.ipv4 : etherTypes.ipv6, 4)
  key.set(address, 8)
  key.set(macToBytes(mac), 24)
  return key
}

/** The port in a key of `sources`. */
export function portOfSource(key: Buffer): number {
  return key.readUInt32LE(0)
}

/** A value of `ports` with counters at zero. */
export function portValue(port: number): Buffer {
  const value = Buffer.alloc(mapShapes.ports.valueBytes)
  value.writeUInt32LE(port, portIndexOffset)
  return value
}

/** The port in a value of `ports`. */
export function portOfValue(value: Buffer): number {
  return value.readUInt32LE(portIndexOffset)
}

/** The counters in a value of `sources` or `ports`. */
export function trafficOf(value: Buffer): Traffic {
  return {
    frames: Number(value.readBigUInt64LE(0)),
    bytes: Number(value.readBigUInt64LE(8)),
  }
}

/** A 16-bit number in the other byte order. */
function swap(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8)
}
