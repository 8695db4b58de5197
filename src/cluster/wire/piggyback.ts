/**
 * What a member's gossip metadata says about it: `4f 02 | epoch 6 | address length 1, address | flags 1`.
 * Of the flags, 1 says that its plugin pauses and its endpoints live on; the others are unused. The address is
 * the VTEP's, which need not be the one that gossip uses. Bytes that follow are a later release's.
 */
import { type Ip, ipFromBytes, ipToBytes } from '../../net/ip.ts'
import { ByteReader, ByteWriter, CodecError, unpack } from '../../base/bytes.ts'
import { formatVersion, magicByte } from './frames.ts'

/** One member's facts. */
interface MemberMeta {
  readonly epoch: number
  readonly address: Ip
  /** It is about to stop answering for a while, and its containers go on. */
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

/** Null when the member is none of ours. */
export function decodeMeta(bytes: Uint8Array): MemberMeta | null {
  try {
    const reader = new ByteReader(bytes)
    if (reader.uint(1) !== magicByte || reader.uint(1) !== formatVersion) return null
    const epoch = reader.epoch()
    const address = ipFromBytes(unpack(reader.packed(reader.uint(1))))
    const restarting = (reader.uint(1) & restartingFlag) !== 0
    if (address === null) return null
    return restarting ? { epoch, address, restarting } : { epoch, address }
  } catch (error) {
    if (error instanceof CodecError) return null
    throw error
  }
}
