import { MessageType } from '../messages.ts'
import { WireError } from '../wire-error.ts'

/** Type byte and count. */
export const COMPOUND_HEADER = 2
/** The length field of each part. */
export const COMPOUND_PART_OVERHEAD = 2

/**
 * Parts we put into one packet at most. The count is a byte, and memberlist 0.2 computes the size
 * of the length table in eight bits, so that more than 127 parts overflow it.
 */
export const MAX_COMPOUND_PARTS = 127

/** Joins messages into one. Refuses empty parts, which crash memberlist before 0.2.4. */
export function encodeCompound(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length > MAX_COMPOUND_PARTS || parts.some((part) => part.length === 0)) {
    throw new RangeError(`a compound has 1 to ${MAX_COMPOUND_PARTS} parts, none of them empty`)
  }
  const body = parts.reduce((sum, part) => sum + part.length, 0)
  const table = COMPOUND_HEADER + COMPOUND_PART_OVERHEAD * parts.length
  const out = new Uint8Array(table + body)
  out[0] = MessageType.compound
  out[1] = parts.length
  let at = table
  parts.forEach((part, i) => {
    out[COMPOUND_HEADER + 2 * i] = part.length >> 8
    out[COMPOUND_HEADER + 2 * i + 1] = part.length & 0xff
    out.set(part, at)
    at += part.length
  })
  return out
}

/** The parts that are there in full, and how many were cut off. */
export interface Parts {
  readonly parts: readonly Uint8Array[]
  readonly missing: number
}

/**
 * Splits a compound (type byte included). Parts whose bytes are missing are left out, as Go does.
 */
export function decodeCompound(bytes: Uint8Array): Parts {
  const count = bytes[1]
  const table = COMPOUND_HEADER + COMPOUND_PART_OVERHEAD * (count ?? 0)
  if (count === undefined || bytes.length < table) {
    throw new WireError('truncated', 'a compound message ends inside its length table')
  }
  const parts: Uint8Array[] = []
  let at = table
  for (let i = 0; i < count; i++) {
    const length = (bytes[COMPOUND_HEADER + 2 * i]! << 8) | bytes[COMPOUND_HEADER + 2 * i + 1]!
    if (at + length > bytes.length) return { parts, missing: count - i }
    parts.push(bytes.subarray(at, at + length))
    at += length
  }
  return { parts, missing: 0 }
}
