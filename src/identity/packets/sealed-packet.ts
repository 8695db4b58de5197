/**
 * The form of a sealed packet:
 *
 *     kind 1 | epoch 4 | hint 8 | sender's session 8 | counter 6 |
 *     sender's endpoint 7 or 19 | ciphertext | tag 16
 *
 * AES-256-GCM (NIST SP 800-38D). The additional data are all before the ciphertext, and the
 * endpoint of the receiver, which is not sent: what was sealed for one member opens at no other.
 * The nonce is the counter.
 */
import { type KeyObject, createCipheriv, createDecipheriv } from 'node:crypto'
import { ipFromBytes, ipToBytes, parseIp } from '../../net/ip.ts'
import type { Endpoint } from '../streams/transport.ts'

/** Data carries a packet of the library; control tells sessions. */
type PacketKind = 'data' | 'control'
const kindBytes = { data: 0xb1, control: 0xb2 } as const

export const sessionBytes = 8
const hintAt = 5
export const hintBytes = 8
const senderAt = hintAt + hintBytes
const counterAt = senderAt + sessionBytes
const counterBytes = 6
const endpointAt = counterAt + counterBytes
const tagBytes = 16
const nonceBytes = 12

/** What sealing adds to a packet at most, in bytes. */
export const maxSealBytes = endpointAt + 1 + 16 + 2 + tagBytes

export interface PacketHeader {
  readonly kind: PacketKind
  readonly epoch: number
  /** Shows that the sender has the epoch's key: the same in each packet to one receiver. */
  readonly hint: Uint8Array
  /** Drawn by the sender at its start. */
  readonly session: Uint8Array
  readonly counter: number
  /** The sender's endpoint, as {@link encodeEndpoint} has it. */
  readonly sender: Uint8Array
}

/** Family, address and port: 7 or 19 bytes; null when it is no IP address. */
export function encodeEndpoint({ address, port }: Endpoint): Buffer | null {
  const ip = parseIp(address.replace(/^::ffff:(?=\d+\.)/, ''))
  if (ip === null) return null
  const bytes = ipToBytes(ip)
  const buffer = Buffer.alloc(1 + bytes.length + 2)
  buffer[0] = bytes.length
  buffer.set(bytes, 1)
  buffer.writeUInt16BE(port, 1 + bytes.length)
  return buffer
}

export function decodeEndpoint(bytes: Uint8Array): Endpoint {
  const end = 1 + bytes[0]!
  const port = (bytes[end]! << 8) | bytes[end + 1]!
  return { address: ipFromBytes(bytes.subarray(1, end))!, port }
}

/**
 * What stands before the ciphertext; null when this is no sealed packet. Nothing of it is true yet.
 */
export function readHeader(packet: Uint8Array): PacketHeader | null {
  const kind = packet[0] === kindBytes.data ? 'data' : 'control'
  const addressBytes = packet[endpointAt]
  if (packet[0] !== kindBytes[kind] || (addressBytes !== 4 && addressBytes !== 16)) return null
  const end = endpointAt + 1 + addressBytes + 2
  if (packet.length < end + tagBytes) return null
  const view = Buffer.from(packet.buffer, packet.byteOffset, packet.length)
  return {
    kind,
    epoch: view.readUInt32BE(1),
    hint: view.subarray(hintAt, senderAt),
    session: view.subarray(senderAt, counterAt),
    counter: view.readUIntBE(counterAt, counterBytes),
    sender: view.subarray(endpointAt, end),
  }
}

/** Seals for the member whose endpoint is `to`. A key never seals two packets with one counter. */
export function seal(
  key: KeyObject,
  header: PacketHeader,
  to: Uint8Array,
  plain: Uint8Array,
): Uint8Array {
  const textAt = endpointAt + header.sender.length
  const packet = Buffer.allocUnsafe(textAt + plain.length + tagBytes)
  packet[0] = kindBytes[header.kind]
  packet.writeUInt32BE(header.epoch, 1)
  packet.set(header.hint, hintAt)
  packet.set(header.session, senderAt)
  packet.writeUIntBE(header.counter, counterAt, counterBytes)
  packet.set(header.sender, endpointAt)
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(packet))
  cipher.setAAD(Buffer.concat([packet.subarray(0, textAt), to]))
  packet.set(cipher.update(plain), textAt)
  cipher.final()
  packet.set(cipher.getAuthTag(), textAt + plain.length)
  return packet
}

/**
 * Opens what was sealed for the member whose endpoint is `to`; null when a bit of anything is
 * different.
 */
export function open(
  key: KeyObject,
  packet: Uint8Array,
  { sender }: PacketHeader,
  to: Uint8Array,
): Uint8Array | null {
  const textAt = endpointAt + sender.length
  const end = packet.length - tagBytes
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(packet))
  decipher.setAAD(Buffer.concat([packet.subarray(0, textAt), to]))
  decipher.setAuthTag(packet.subarray(end))
  const plain = decipher.update(packet.subarray(textAt, end))
  try {
    decipher.final()
    return plain
  } catch {
    return null
  }
}

function nonceOf(packet: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(nonceBytes)
  nonce.set(packet.subarray(counterAt, endpointAt), nonceBytes - counterBytes)
  return nonce
}
