import { MAX_ELEMENTS, MAX_STRING_BYTES } from '../../limits.ts'
import { WireError } from '../wire-error.ts'

/** Nesting that a skipped value may have; memberlist's own bodies have one level. */
const MAX_DEPTH = 8

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads the msgpack that go-msgpack 0.5 and 2.x write, and all that they accept: strings and byte
 * arrays as raw, str or bin, integers of any width and sign, nil for any zero value. Throws only
 * {@link WireError}; `truncated` means that more bytes could make it valid.
 */
export class MsgpackReader {
  readonly bytes: Uint8Array
  position: number

  constructor(bytes: Uint8Array, position = 0) {
    this.bytes = bytes
    this.position = position
  }

  get remaining(): number {
    return this.bytes.length - this.position
  }

  /** The head of a struct: a map or, in declaration order, an array; nil is an empty map. */
  structHead(): { readonly form: 'map' | 'array'; readonly length: number } {
    const head = this.#byte()
    if (head === 0xc0) return { form: 'map', length: 0 }
    if (head >= 0x80 && head <= 0x8f) return { form: 'map', length: head & 15 }
    if (head >= 0x90 && head <= 0x9f) return { form: 'array', length: head & 15 }
    if (head === 0xde) return { form: 'map', length: this.#fixed(2) }
    if (head === 0xdf) return { form: 'map', length: this.#fixed(4) }
    if (head === 0xdc) return { form: 'array', length: this.#fixed(2) }
    if (head === 0xdd) return { form: 'array', length: this.#fixed(4) }
    throw malformed('a map', head)
  }

  /** Whether the bytes that follow are exactly `expected`; if so, passes over them. */
  accept(expected: Uint8Array): boolean {
    const { bytes, position } = this
    if (position + expected.length > bytes.length) return false
    for (let i = 0; i < expected.length; i++) {
      if (bytes[position + i] !== expected[i]) return false
    }
    this.position = position + expected.length
    return true
  }

  /**
   * A string; its bytes must be UTF-8, because a name that changes in decoding would be another
   * member.
   */
  string(): string {
    const head = this.#byte()
    if (head === 0xc0) return ''
    const length = this.#rawLength(head)
    if (length === undefined) throw malformed('a string', head)
    if (length > MAX_STRING_BYTES) throw tooLarge('bytes of a string', length)
    const start = this.position
    this.#advance(length)
    return decodeText(this.bytes, start, this.position)
  }

  /**
   * A view of a byte array (no copy), `null` for nil. Go also takes an array of small integers
   * here.
   */
  byteArray(): Uint8Array | null {
    const head = this.#byte()
    if (head === 0xc0) return null
    const length = this.#rawLength(head)
    if (length === undefined) return this.#integerArray(head)
    const start = this.position
    this.#advance(length)
    return this.bytes.subarray(start, this.position)
  }

  /** An integer in [0, max]; nil is 0. */
  unsigned(max: number): number {
    const head = this.#byte()
    const value = this.#integer(head)
    if (value === undefined) throw malformed('an integer', head)
    if (value < 0 || value > max) {
      throw new WireError('malformed', `integer ${value} is not in 0..${max}`)
    }
    return value
  }

  boolean(): boolean {
    const head = this.#byte()
    if (head === 0xc2 || head === 0xc0 || head === 0) return false
    if (head === 0xc3 || head === 1) return true
    throw malformed('a boolean', head)
  }

  /** Passes over one value of any kind. */
  skip(depth = 0): void {
    if (depth > MAX_DEPTH) {
      throw new WireError('too-deep', `msgpack is nested deeper than ${MAX_DEPTH}`)
    }
    const head = this.#byte()
    if (head === 0xc0 || head === 0xc2 || head === 0xc3 || this.#skipNumber(head)) return
    const raw = this.#rawLength(head)
    if (raw !== undefined) return this.#advance(raw)
    this.position--
    const { form, length } = this.structHead()
    const values = form === 'map' ? 2 * length : length
    if (values > MAX_ELEMENTS) throw tooLarge('elements', values)
    for (let i = 0; i < values; i++) this.skip(depth + 1)
  }

  #byte(): number {
    const byte = this.bytes[this.position]
    if (byte === undefined) throw truncated()
    this.position++
    return byte
  }

  #advance(n: number): void {
    if (n > this.bytes.length - this.position) throw truncated()
    this.position += n
  }

  #fixed(width: number): number {
    let value = 0
    for (let i = 0; i < width; i++) value = value * 256 + this.#byte()
    return value
  }

  #rawLength(head: number): number | undefined {
    if (head >= 0xa0 && head <= 0xbf) return head & 31
    if (head === 0xd9 || head === 0xc4) return this.#fixed(1)
    if (head === 0xda || head === 0xc5) return this.#fixed(2)
    if (head === 0xdb || head === 0xc6) return this.#fixed(4)
    return undefined
  }

  /** Exact up to 2^53; wider values lose their low bits, which no range check here can mistake. */
  #integer(head: number): number | undefined {
    if (head <= 0x7f) return head
    if (head >= 0xe0) return head - 256
    if (head === 0xc0) return 0
    if (head >= 0xcc && head <= 0xcf) return this.#fixed(1 << (head - 0xcc))
    if (head < 0xd0 || head > 0xd3) return undefined
    const width = 1 << (head - 0xd0)
    const value = this.#fixed(width)
    return value >= 2 ** (8 * width - 1) ? value - 2 ** (8 * width) : value
  }

  #integerArray(head: number): Uint8Array {
    this.position--
    const { form, length } = this.structHead()
    if (form !== 'array') throw malformed('a byte array', head)
    if (length > MAX_ELEMENTS) throw tooLarge('elements', length)
    return Uint8Array.from({ length }, () => this.unsigned(255))
  }

  #skipNumber(head: number): boolean {
    if (head === 0xca || head === 0xcb) {
      this.#advance(head === 0xca ? 4 : 8)
      return true
    }
    return this.#integer(head) !== undefined
  }
}

function decodeText(bytes: Uint8Array, start: number, end: number): string {
  for (let i = start; i < end; i++) {
    if (bytes[i]! > 0x7f) return decodeUtf8(bytes.subarray(start, end))
  }
  // A flat string; one that is put together byte by byte takes forty times its size.
  return Buffer.prototype.latin1Slice.call(bytes, start, end)
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new WireError('malformed', 'a string is not UTF-8')
  }
}

function truncated(): WireError {
  return new WireError('truncated', 'the bytes end before the value does')
}

function tooLarge(what: string, count: number): WireError {
  return new WireError('too-large', `msgpack announces ${count} ${what}`)
}

function malformed(wanted: string, head: number): WireError {
  return new WireError('malformed', `expected ${wanted}, found byte 0x${head.toString(16)}`)
}
