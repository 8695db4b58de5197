import { crc32 } from 'node:zlib'
import { MessageType } from '../messages.ts'
import { WireError } from '../wire-error.ts'

/** Type byte and CRC-32. */
export const CHECKSUM_OVERHEAD = 5

/** Puts the CRC-32 (IEEE) of `packet` before it. */
export function addChecksum(packet: Uint8Array): Uint8Array {
  const out = new Uint8Array(CHECKSUM_OVERHEAD + packet.length)
  out[0] = MessageType.crc
  new DataView(out.buffer).setUint32(1, crc32(packet))
  out.set(packet, CHECKSUM_OVERHEAD)
  return out
}

/** Verifies and strips a checksum if there is one. Throws `bad-crc`. */
export function stripChecksum(packet: Uint8Array): Uint8Array {
  if (packet.length < CHECKSUM_OVERHEAD || packet[0] !== MessageType.crc) return packet
  const rest = packet.subarray(CHECKSUM_OVERHEAD)
  const stated = new DataView(packet.buffer, packet.byteOffset).getUint32(1)
  if (crc32(rest) !== stated) throw new WireError('bad-crc', 'a packet fails its checksum')
  return rest
}
