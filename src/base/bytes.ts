/**
 * Bytes as a latin1 string, one byte a character. The replica keeps keys and values in this form: a
 * string cannot be changed behind its owner's back, compares with ===, is the key of a map, and
 * takes a third of the memory of a small Uint8Array.
 */
export type Packed = string

/** What arrived is not what the format says. The packet is dropped and counted, nothing else. */
export class CodecError extends Error {
  override readonly name = 'CodecError'
}

/** Numbers above cannot be told apart as doubles; no version or epoch comes near. */
const maxVarint = Number.MAX_SAFE_INTEGER

/** The bytes themselves. */
export function unpack(text: Packed): Uint8Array {
  return Buffer.from(text, 'latin1')
}

/** Those bytes as a Packed. */
export function pack(bytes: Uint8Array): Packed {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

/** How many bytes `ByteWriter.varint` takes for `value`. */
export function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++
  return length
}

/**
 * Writes big-endian integers, varints (7 bits a byte, lowest first) and raw bytes one after
 * another.
 */
export class ByteWriter {
  #buffer = Buffer.allocUnsafe(512)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** An unsigned integer of 1 to 6 bytes. */
  uint(value: number, bytes: 1 | 2 | 3 | 4 | 6): this {
    const at = this.#room(bytes)
    if (bytes === 1) this.#buffer[at] = value
    else this.#buffer.writeUIntBE(value, at, bytes)
    return this
  }

  varint(value: number): this {
    let rest = value
    let at = this.#room(8)
    while (rest >= 0x80) {
      this.#buffer[at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#buffer[at++] = rest
    this.#length = at
    return this
  }

  /** A signed integer as a varint: 0, -1, 1, -2 … become 0, 1, 2, 3 … */
  zigzag(value: number): this {
    return this.varint(value < 0 ? -2 * value - 1 : 2 * value)
  }

  packed(text: Packed): this {
    const at = this.#room(text.length)
    this.#buffer.write(text, at, 'latin1')
    return this
  }

  raw(bytes: Uint8Array): this {
    const at = this.#room(bytes.length)
    this.#buffer.set(bytes, at)
    return this
  }

  /** A varint length, then the bytes. */
  block(text: Packed): this {
    return this.varint(text.length).packed(text)
  }

  /** Takes back everything after the first `length` bytes. */
  truncate(length: number): void {
    this.#length = length
  }

  /** A copy of what was written. */
  bytes(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#buffer, 0, this.#length)
  }

  /** What was written, as a Packed. */
  text(): Packed {
    return this.#buffer.toString('latin1', 0, this.#length)
  }

  #room(bytes: number): number {
    const at = this.#length
    const needed = at + bytes
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
      this.#buffer.copy(larger, 0, 0, at)
      this.#buffer = larger
    }
    this.#length = needed
    return at
  }
}

/** Reads what ByteWriter wrote. Every method throws CodecError when the bytes run out. */
export class ByteReader {
  readonly #buffer: Buffer
  readonly #end: number
  #at: number

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = start
    this.#end = end
  }

  get left(): number {
    return this.#end - this.#at
  }

  uint(bytes: 1 | 2 | 3 | 4 | 6): number {
    const at = this.#take(bytes)
    return bytes === 1 ? this.#buffer[at]! : this.#buffer.readUIntBE(at, bytes)
  }

  varint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.#buffer[this.#take(1)]!
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (value > maxVarint) break
        return value
      }
      scale *= 0x80
    }
    throw new CodecError('a varint is too large')
  }

  zigzag(): number {
    const value = this.varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  packed(bytes: number): Packed {
    const at = this.#take(bytes)
    return this.#buffer.toString('latin1', at, at + bytes)
  }

  block(): Packed {
    return this.packed(this.varint())
  }

  /** A reader of the next `bytes` bytes, which this one then skips. */
  part(bytes: number): ByteReader {
    const at = this.#take(bytes)
    return new ByteReader(this.#buffer, at, at + bytes)
  }

  #take(bytes: number): number {
    const at = this.#at
    if (bytes > this.#end - at) throw new CodecError('cut short')
    this.#at = at + bytes
    return at
  }
}
