import { crc32 } from 'node:zlib'

/**
 * How a record stands in the journal: a head of three numbers in 8 hexadecimal digits each, with a
 * space after each (the payload's length in bytes, its CRC-32, and the CRC-32 of the text of these
 * two), then the payload, then a line feed. The head has a checksum of its own so that a damaged
 * length is never taken for a record that was cut short by a crash.
 */
const lengthEnd = 9
const sumEnd = 18
const headBytes = 27

/** The record with this payload. */
export function encodeRecord(payload: string): Buffer {
  const body = Buffer.from(payload, 'utf8')
  const start = `${hex(body.length)} ${hex(crc32(body))} `
  return Buffer.concat([Buffer.from(`${start}${hex(crc32(start))} `), body, Buffer.from('\n')])
}

/** What begins at `offset`: a whole record, one that a crash cut short, or damage. */
type RecordRead =
  | { readonly kind: 'record'; readonly payload: string; readonly end: number }
  | { readonly kind: 'torn' }
  | { readonly kind: 'damaged'; readonly reason: string }

/**
 * Reads the record at `offset`, which must be below the number of bytes. A record is torn only when
 * bytes are missing at its end: appending a file leaves nothing else when a crash interrupts it.
 */
export function readRecord(bytes: Buffer, offset: number): RecordRead {
  const head = bytes.toString('latin1', offset, offset + headBytes)
  if (head.length < headBytes) return { kind: 'torn' }
  if (head.slice(sumEnd) !== `${hex(crc32(head.slice(0, sumEnd)))} `) {
    return { kind: 'damaged', reason: 'the head of the record does not match its checksum' }
  }
  const end = offset + headBytes + Number.parseInt(head.slice(0, lengthEnd), 16)
  if (bytes.length <= end) return { kind: 'torn' }
  const body = bytes.subarray(offset + headBytes, end)
  if (hex(crc32(body)) !== head.slice(lengthEnd, sumEnd - 1)) {
    return { kind: 'damaged', reason: 'the record does not match its checksum' }
  }
  if (bytes[end] !== 0x0a) return { kind: 'damaged', reason: 'the record does not end its line' }
  return { kind: 'record', payload: body.toString('utf8'), end: end + 1 }
}

/**
 * The bytes without the zeros at their end, which some file systems leave when a crash comes
 * between a file's growing and its blocks. No record has two zeros in a row.
 */
export function withoutZeroTail(bytes: Buffer): Buffer {
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  return bytes.length - end < 2 ? bytes : bytes.subarray(0, end)
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0')
}
