/**
 * Netlink messages (RFC 3549): a header of 16 bytes, a fixed part that depends on the type, then
 * attributes, each with length, type and value, padded to 4 bytes, some of them nested. All
 * integers are in the machine's byte order, which `start` checks to be little-endian, unless the
 * kernel says "be".
 */
import { assert } from '../../../base/errors.ts'

const headerBytes = 16
const attributeHeaderBytes = 4
/** Set in the type of an attribute that holds attributes. */
const NLA_F_NESTED = 0x8000
/** Cleared from a type when reading: NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
const attributeTypeMask = 0x3fff

/** A request to the kernel. `body` writes all that follows the header. */
export interface Request {
  readonly type: number
  readonly flags: number
  /** What it does, for the message of an error. */
  readonly what?: string
  readonly body: (writer: MessageWriter) => void
}

/** One message from the kernel. `body` is what follows the header. */
export interface Message {
  readonly type: number
  readonly flags: number
  readonly sequence: number
  readonly body: Buffer
}

/** Writes messages one after another into a buffer that grows. */
export class MessageWriter {
  #buffer = Buffer.alloc(64 * 1024)
  #length = 0

  /** All that was written; valid until the next write. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  /** Forgets all that was written. */
  clear(): void {
    this.#length = 0
  }

  message(request: Request, flags: number, sequence: number): void {
    const start = this.#length
    this.u32(0)
    this.u16(request.type)
    this.u16(request.flags | flags)
    this.u32(sequence)
    this.u32(0)
    request.body(this)
    this.#buffer.writeUInt32LE(this.#length - start, start)
  }

  u8(value: number): void {
    this.#grow(1)
    this.#buffer[this.#length++] = value
  }

  u16(value: number): void {
    this.#grow(2)
    this.#length = this.#buffer.writeUInt16LE(value, this.#length)
  }

  u32(value: number): void {
    this.#grow(4)
    this.#length = this.#buffer.writeUInt32LE(value, this.#length)
  }

  bytesAttribute(type: number, value: Uint8Array): void {
    this.u16(attributeHeaderBytes + value.length)
    this.u16(type)
    this.#grow(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
    this.#pad()
  }

  /** A string with the zero byte that ends it. */
  stringAttribute(type: number, value: string): void {
    this.bytesAttribute(type, Buffer.from(`${value}\0`))
  }

  u8Attribute(type: number, value: number): void {
    this.bytesAttribute(type, Uint8Array.of(value))
  }

  u16Attribute(type: number, value: number): void {
    this.bytesAttribute(type, Uint8Array.of(value & 0xff, value >>> 8))
  }

  /** Big-endian, as ports are. */
  be16Attribute(type: number, value: number): void {
    this.bytesAttribute(type, Uint8Array.of(value >>> 8, value & 0xff))
  }

  be32Attribute(type: number, value: number): void {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(value | 0)
    this.bytesAttribute(type, bytes)
  }

  be64Attribute(type: number, value: bigint): void {
    const bytes = Buffer.alloc(8)
    bytes.writeBigUInt64BE(value)
    this.bytesAttribute(type, bytes)
  }

  u32Attribute(type: number, value: number): void {
    this.u16(attributeHeaderBytes + 4)
    this.u16(type)
    this.u32(value)
  }

  /** An attribute whose value is what `content` writes. */
  nest(type: number, content: () => void): void {
    const start = this.#length
    this.u16(0)
    this.u16(type | NLA_F_NESTED)
    content()
    this.#buffer.writeUInt16LE(this.#length - start, start)
  }

  #pad(): void {
    while (this.#length % 4 !== 0) this.u8(0)
  }

  #grow(more: number): void {
    if (this.#length + more <= this.#buffer.length) return
    const larger = Buffer.alloc(this.#buffer.length * 2 + more)
    larger.set(this.bytes)
    this.#buffer = larger
  }
}

/** The messages in a datagram. A length beyond its end is a bug of ours. */
export function readMessages(datagram: Buffer): Message[] {
  const messages: Message[] = []
  for (let at = 0; at + headerBytes <= datagram.length;) {
    const length = datagram.readUInt32LE(at)
    assert(
      length >= headerBytes && at + length <= datagram.length,
      'a netlink message is truncated',
    )
    messages.push({
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      body: datagram.subarray(at + headerBytes, at + length),
    })
    at += (length + 3) & ~3
  }
  return messages
}

/** The attributes in `bytes` by type. Of two with the same type the last one counts. */
export function readAttributes(bytes: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>()
  eachAttribute(bytes, (value, type) => void attributes.set(type, value))
  return attributes
}

/** The values of all attributes in `bytes`, for lists whose members have one type. */
export function listAttributes(bytes: Buffer): Buffer[] {
  const values: Buffer[] = []
  eachAttribute(bytes, (value) => void values.push(value))
  return values
}

function eachAttribute(bytes: Buffer, visit: (value: Buffer, type: number) => void): void {
  for (let at = 0; at + attributeHeaderBytes <= bytes.length;) {
    const length = bytes.readUInt16LE(at)
    assert(
      length >= attributeHeaderBytes && at + length <= bytes.length,
      'an attribute is truncated',
    )
    const type = bytes.readUInt16LE(at + 2) & attributeTypeMask
    visit(bytes.subarray(at + attributeHeaderBytes, at + length), type)
    at += (length + 3) & ~3
  }
}

/** One attribute of `bytes` from `at` on; undefined when there is none. For dumps of many rows. */
export function findAttribute(bytes: Buffer, at: number, type: number): Buffer | undefined {
  while (at + attributeHeaderBytes <= bytes.length) {
    const length = bytes.readUInt16LE(at)
    assert(
      length >= attributeHeaderBytes && at + length <= bytes.length,
      'an attribute is truncated',
    )
    if ((bytes.readUInt16LE(at + 2) & attributeTypeMask) === type)
      return bytes.subarray(at + attributeHeaderBytes, at + length)
    at += (length + 3) & ~3
  }
  return undefined
}

/** The text of a string attribute, without the zero that ends it; empty when there is none. */
export function readString(value: Buffer | undefined): string {
  if (value === undefined) return ''
  const end = value.indexOf(0)
  return value.toString('utf8', 0, end < 0 ? value.length : end)
}
