/** What our acks of probes carry: `4f 02 | root 8`. */
import { ByteReader, ByteWriter } from '../base/bytes.ts'
import type { Hash } from './log/digest.ts'
import { formatVersion, magicByte } from './wire/frames.ts'

const rootPayloadBytes = 10

export function encodeRoot({ high, low }: Hash): Uint8Array {
  return new ByteWriter()
    .uint(magicByte, 1)
    .uint(formatVersion, 1)
    .uint(high, 4)
    .uint(low, 4)
    .bytes()
}

/** Null when the payload is none of ours. What follows the root is a later release's. */
export function decodeRoot(payload: Uint8Array): Hash | null {
  if (payload.length < rootPayloadBytes) return null
  const reader = new ByteReader(payload)
  if (reader.uint(1) !== magicByte || reader.uint(1) !== formatVersion) return null
  return { high: reader.uint(4), low: reader.uint(4) }
}
