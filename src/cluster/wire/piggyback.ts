/**
 * What rides on memberlist's own messages.
 *
 * A member's metadata is `4f 02 | epoch 6 | address length 1, address | flags 1`. Flag 1 announces
 * a graceful restart: the plugin stops, and the endpoints live on. The address is the VTEP's, which
 * may differ from the one that gossip uses. The payload of an ack is `4f 02 | root 8`, the root of
 * the digest. Bytes that follow are a later release's.
 */
import { type Ip, ipFromBytes, ipToBytes } from '../../net/ip.ts'
import { ByteReader, ByteWriter, CodecError, unpack } from '../../base/bytes.ts'
import type { Hash } from '../log/digest.ts'
import { readEpoch } from './delta-codec.ts'
import { formatVersion, magicByte } from './frames.ts'

/** A member's metadata. */
interface MemberMeta {
  readonly epoch: number
  readonly address: Ip
  /** It announces a graceful restart. */
  readonly restarting?: true
}

const restartingFlag = 1

/** At most 26 bytes. */
export function encodeMeta(meta: MemberMeta): Uint8Array {
  const address = ipToBytes(meta.address)
  return new ByteWriter()
    .uint(magicByte, 1)
    .uint(formatVersion, 1)
    .uint(meta.epoch, 6)
    .uint(address.length, 1)
    .raw(address)
    .uint(meta.restarting === true ? restartingFlag : 0, 1)
    .bytes()
}

/** Null when the member is not one of this format. */
export function decodeMeta(bytes: Uint8Array): MemberMeta | null {
  try {
    const reader = new ByteReader(bytes)
    if (reader.uint(1) !== magicByte || reader.uint(1) !== formatVersion) return null
    const epoch = readEpoch(reader)
    const address = ipFromBytes(unpack(reader.packed(reader.uint(1))))
    const restarting = (reader.uint(1) & restartingFlag) !== 0
    if (address === null) return null
    return restarting ? { epoch, address, restarting } : { epoch, address }
  } catch (error) {
    if (error instanceof CodecError) return null
    throw error
  }
}

const rootPayloadBytes = 10

/** The payload of our acks. */
export function encodeRoot({ high, low }: Hash): Uint8Array {
  return new ByteWriter()
    .uint(magicByte, 1)
    .uint(formatVersion, 1)
    .uint(high, 4)
    .uint(low, 4)
    .bytes()
}

/** Null when the payload is not one of this format. */
export function decodeRoot(payload: Uint8Array): Hash | null {
  if (payload.length < rootPayloadBytes) return null
  const reader = new ByteReader(payload)
  if (reader.uint(1) !== magicByte || reader.uint(1) !== formatVersion) return null
  return { high: reader.uint(4), low: reader.uint(4) }
}
