/**
 * WireGuard devices by generic netlink: requests and readers. Numbers from <linux/wireguard.h>.
 * The endpoint of a peer is a struct sockaddr_in or sockaddr_in6, its other numbers are in the
 * machine's byte order.
 */
import { type Ip, ipBits, ipFromBytes, ipToBytes } from '../../../net/ip.ts'
import type { ActualWireGuard, ActualWireGuardPeer, WireGuardPeer } from '../../wireguard.ts'
import {
  type Message,
  type MessageWriter,
  type Request,
  listAttributes,
  readAttributes,
} from '../netlink/message.ts'
import { familyOf } from '../netlink/neighbours.ts'
import * as rt from '../netlink/rtnetlink.ts'
import { genericAttributes, genericRequest } from './generic-netlink.ts'

export const familyName = 'wireguard'
const WG_CMD_GET_DEVICE = 0
const WG_CMD_SET_DEVICE = 1
const WGDEVICE_A_IFNAME = 2
const WGDEVICE_A_PRIVATE_KEY = 3
const WGDEVICE_A_PUBLIC_KEY = 4
const WGDEVICE_A_LISTEN_PORT = 6
const WGDEVICE_A_PEERS = 8
const WGPEER_A_PUBLIC_KEY = 1
const WGPEER_A_PRESHARED_KEY = 2
const WGPEER_A_FLAGS = 3
const WGPEER_A_ENDPOINT = 4
const WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL = 5
const WGPEER_A_LAST_HANDSHAKE_TIME = 6
const WGPEER_A_RX_BYTES = 7
const WGPEER_A_TX_BYTES = 8
const WGPEER_A_ALLOWEDIPS = 9
const WGPEER_F_REMOVE_ME = 1
const WGPEER_F_REPLACE_ALLOWEDIPS = 2
const WGALLOWEDIP_A_FAMILY = 1
const WGALLOWEDIP_A_IPADDR = 2
const WGALLOWEDIP_A_CIDR_MASK = 3
/** struct sockaddr_in and sockaddr_in6. */
const sockaddrBytes = { 32: 16, 128: 28 } as const

const keyBytes = 32
/** What the kernel has for a peer without a preshared key, and takes to remove one. */
const noKey = Buffer.alloc(keyBytes)
/** An attribute has 16 bits of length; a peer with all its fields has some 130 bytes. */
export const maxPeersPerMessage = 400

/** A device by its family's number and its name. */
interface DeviceKey {
  readonly family: number
  readonly name: string
}

/** A peer to write, or to remove. */
export type PeerChange =
  | { readonly op: 'set'; readonly peer: WireGuardPeer }
  | { readonly op: 'remove'; readonly publicKey: string }

/** Sets the private key (base64) and the UDP port. */
export function setDevice(device: DeviceKey, privateKey: string, listenPort: number): Request {
  return deviceRequest(device, `configuring WireGuard device ${device.name}`, (writer) => {
    writer.bytesAttribute(WGDEVICE_A_PRIVATE_KEY, Buffer.from(privateKey, 'base64'))
    writer.u16Attribute(WGDEVICE_A_LISTEN_PORT, listenPort)
  })
}

/** Sets and removes peers, at most `maxPeersPerMessage`; the other peers keep their sessions. */
export function setPeers(device: DeviceKey, changes: readonly PeerChange[]): Request {
  return deviceRequest(device, `setting peers of WireGuard device ${device.name}`, (writer) =>
    writer.nest(WGDEVICE_A_PEERS, () => {
      for (const change of changes)
        writer.nest(0, () => {
          if (change.op === 'set') writePeer(writer, change.peer)
          else {
            writer.bytesAttribute(WGPEER_A_PUBLIC_KEY, Buffer.from(change.publicKey, 'base64'))
            writer.u32Attribute(WGPEER_A_FLAGS, WGPEER_F_REMOVE_ME)
          }
        })
    }),
  )
}

/** Reads a device, for a dump: the peers come in several messages. */
export function getDevice({ family, name }: DeviceKey): Request {
  const what = `reading WireGuard device ${name}`
  return genericRequest({ family, command: WG_CMD_GET_DEVICE, what }, (writer) =>
    writer.stringAttribute(WGDEVICE_A_IFNAME, name),
  )
}

/** Reads the messages of one device. A peer's allowed addresses may go on in the next message. */
export function readDevice(messages: readonly Message[]): ActualWireGuard {
  let [publicKey, listenPort] = ['', 0]
  const peers = new Map<string, ActualWireGuardPeer>()
  for (const attributes of messages.map(genericAttributes)) {
    publicKey = attributes.get(WGDEVICE_A_PUBLIC_KEY)?.toString('base64') ?? publicKey
    listenPort = attributes.get(WGDEVICE_A_LISTEN_PORT)?.readUInt16LE() ?? listenPort
    const list = attributes.get(WGDEVICE_A_PEERS)
    for (const bytes of list === undefined ? [] : listAttributes(list)) {
      const peer = readPeer(bytes)
      const before = peers.get(peer.publicKey)
      const allowed = [...(before?.allowed ?? []), ...peer.allowed]
      peers.set(peer.publicKey, { ...(before ?? peer), allowed })
    }
  }
  return { publicKey, listenPort, peers: [...peers.values()] }
}

function deviceRequest(
  { family, name }: DeviceKey,
  what: string,
  attributes: (writer: MessageWriter) => void,
): Request {
  return genericRequest({ family, command: WG_CMD_SET_DEVICE, what }, (writer) => {
    writer.stringAttribute(WGDEVICE_A_IFNAME, name)
    attributes(writer)
  })
}

function writePeer(writer: MessageWriter, peer: WireGuardPeer): void {
  const { publicKey, presharedKey, endpoint, keepaliveSeconds, vtep } = peer
  const preshared = presharedKey === null ? noKey : Buffer.from(presharedKey, 'base64')
  writer.bytesAttribute(WGPEER_A_PUBLIC_KEY, Buffer.from(publicKey, 'base64'))
  writer.u32Attribute(WGPEER_A_FLAGS, WGPEER_F_REPLACE_ALLOWEDIPS)
  writer.bytesAttribute(WGPEER_A_PRESHARED_KEY, preshared)
  writer.bytesAttribute(WGPEER_A_ENDPOINT, writeSockaddr(endpoint))
  writer.u16Attribute(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, keepaliveSeconds)
  writer.nest(WGPEER_A_ALLOWEDIPS, () =>
    writer.nest(0, () => {
      writer.u16Attribute(WGALLOWEDIP_A_FAMILY, familyOf(vtep))
      writer.bytesAttribute(WGALLOWEDIP_A_IPADDR, ipToBytes(vtep))
      writer.u8Attribute(WGALLOWEDIP_A_CIDR_MASK, ipBits(vtep))
    }),
  )
}

function readPeer(bytes: Buffer): ActualWireGuardPeer {
  const attributes = readAttributes(bytes)
  const preshared = attributes.get(WGPEER_A_PRESHARED_KEY) ?? noKey
  const endpoint = attributes.get(WGPEER_A_ENDPOINT)
  const list = attributes.get(WGPEER_A_ALLOWEDIPS)
  const count = (type: number): number => Number(attributes.get(type)?.readBigUInt64LE() ?? 0n)
  return {
    publicKey: attributes.get(WGPEER_A_PUBLIC_KEY)!.toString('base64'),
    presharedKey: preshared.equals(noKey) ? null : preshared.toString('base64'),
    endpoint: endpoint === undefined ? null : readSockaddr(endpoint),
    keepaliveSeconds: attributes.get(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL)?.readUInt16LE() ?? 0,
    allowed: list === undefined ? [] : listAttributes(list).map(readAllowed),
    lastHandshakeSeconds: readTime(attributes.get(WGPEER_A_LAST_HANDSHAKE_TIME)),
    receivedBytes: count(WGPEER_A_RX_BYTES),
    sentBytes: count(WGPEER_A_TX_BYTES),
  }
}

/** A struct __kernel_timespec as seconds. */
function readTime(bytes: Buffer | undefined): number {
  if (bytes === undefined) return 0
  return Number(bytes.readBigInt64LE()) + Number(bytes.readBigInt64LE(8)) / 1e9
}

/** As `10.0.0.1/32`. */
function readAllowed(bytes: Buffer): string {
  const attributes = readAttributes(bytes)
  const ip = ipFromBytes(attributes.get(WGALLOWEDIP_A_IPADDR)!)
  return `${ip}/${attributes.get(WGALLOWEDIP_A_CIDR_MASK)![0]}`
}

function writeSockaddr({ ip, port }: { ip: Ip; port: number }): Buffer {
  const bytes = Buffer.alloc(sockaddrBytes[ipBits(ip)])
  bytes.writeUInt16LE(familyOf(ip), 0)
  bytes.writeUInt16BE(port, 2)
  bytes.set(ipToBytes(ip), ipBits(ip) === 32 ? 4 : 8)
  return bytes
}

function readSockaddr(bytes: Buffer): { ip: Ip; port: number } | null {
  const address =
    bytes.readUInt16LE(0) === rt.AF_INET ? bytes.subarray(4, 8) : bytes.subarray(8, 24)
  const ip = ipFromBytes(address)
  return ip === null ? null : { ip, port: bytes.readUInt16BE(2) }
}
