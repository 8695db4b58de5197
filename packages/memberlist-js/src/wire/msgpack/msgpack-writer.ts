const encoder = new TextEncoder()

/**
 * Writes msgpack as go-msgpack does with WriteExt off: strings and byte arrays alike as the old
 * *raw* (never str8 nor bin, which go-msgpack 0.5 refuses for strings), nil for a missing byte
 * array, integers at their shortest.
 */
export class MsgpackWriter {
  #buffer: Uint8Array
  #length = 0

  constructor(capacity = 128) {
    this.#buffer = new Uint8Array(capacity)
  }

  /** Forgets what was written, to write something else. */
  reset(): this {
    this.#length = 0
    return this
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length)
  }

  byte(value: number): this {
    this.#reserve(1)
    this.#buffer[this.#length++] = value
    return this
  }

  /** Bytes as they are. */
  append(bytes: Uint8Array): this {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
    return this
  }

  /** A map head; our structs have fewer than 16 fields. */
  mapHead(fields: number): this {
    return this.byte(0x80 | fields)
  }

  string(value: string): this {
    const start = this.#length
    const { length } = value
    if (length >= 32) return this.byteArray(encoder.encode(value))
    // Names are short and nearly always ASCII, which is written much faster by hand.
    this.#reserve(1 + length)
    this.#buffer[this.#length++] = 0xa0 | length
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i)
      if (code > 0x7f) {
        this.#length = start
        return this.byteArray(encoder.encode(value))
      }
      this.#buffer[this.#length++] = code
    }
    return this
  }

  byteArray(value: Uint8Array | null): this {
    if (value === null) return this.byte(0xc0)
    const { length } = value
    if (length < 32) this.byte(0xa0 | length)
    else if (length < 0x10000) this.byte(0xda).#fixed(length, 2)
    else this.byte(0xdb).#fixed(length, 4)
    return this.append(value)
  }

  boolean(value: boolean): this {
    return this.byte(value ? 0xc3 : 0xc2)
  }

  /** Go's unsigned kinds. */
  unsigned(value: number): this {
    if (value < 0x80) return this.byte(value)
    if (value < 0x100) return this.byte(0xcc).byte(value)
    if (value < 0x10000) return this.byte(0xcd).#fixed(value, 2)
    return this.byte(0xce).#fixed(value, 4)
  }

  /** Go's `int`, non-negative here: go-msgpack 2 writes the signed forms, and both read them. */
  int(value: number): this {
    if (value < 0x80) return this.byte(value)
    if (value < 0x8000) return this.byte(0xd1).#fixed(value, 2)
    return this.byte(0xd2).#fixed(value, 4)
  }

  #fixed(value: number, width: number): this {
    for (let shift = 8 * (width - 1); shift >= 0; shift -= 8) this.byte((value >>> shift) & 0xff)
    return this
  }

  #reserve(extra: number): void {
    const needed = this.#length + extra
    if (needed <= this.#buffer.length) return
    const grown = new Uint8Array(Math.max(needed, 2 * this.#buffer.length))
    grown.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = grown
  }
}
