import { MAX_EXPANSION_RATIO, MIN_EXPANSION_BYTES } from '../../limits.ts'
import { lzwDecode, lzwEncode } from './lzw.ts'
import { MessageType } from '../messages.ts'
import type { MsgpackReader } from '../msgpack/msgpack-reader.ts'
import { MsgpackWriter } from '../msgpack/msgpack-writer.ts'
import { struct } from '../msgpack/struct.ts'
import { WireError } from '../wire-error.ts'

const LZW = 0
const compressBody = struct({ algo: 'u8', buf: 'bytes' })

/** Wraps `plain` into a compress message. */
export function compress(plain: Uint8Array, options?: { startWithClear: boolean }): Uint8Array {
  const buf = lzwEncode(plain, options)
  const writer = new MsgpackWriter(buf.length + 24).byte(MessageType.compress)
  compressBody.encode(writer, { algo: LZW, buf })
  return writer.finish()
}

/** Reads the body of a compress message and expands it: to `limit` bytes, at a plausible ratio. */
export function decompressBody(reader: MsgpackReader, limit: number): Uint8Array {
  const { algo, buf } = compressBody.decode(reader)
  if (algo !== LZW) throw new WireError('malformed', `compression algorithm ${algo} is not known`)
  const packed = buf ?? new Uint8Array()
  const plausible = Math.max(MIN_EXPANSION_BYTES, MAX_EXPANSION_RATIO * packed.length)
  return lzwDecode(packed, Math.min(limit, plausible))
}
