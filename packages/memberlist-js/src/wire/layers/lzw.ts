/**
 * LZW as Go's compress/lzw does it with order LSB and 8-bit literals: the GIF variant, codes of 9
 * to 12 bits, packed from the low bit up. Since Go 1.17 a stream opens with a clear code; older
 * ones do not; both are read.
 */
import { WireError } from '../wire-error.ts'

const CLEAR = 256
const END = 257
const MAX_WIDTH = 12
const MAX_CODE = (1 << MAX_WIDTH) - 1

/**
 * Open addressing over (prefix code, byte) → code; four times the number of codes keeps chains
 * short.
 */
const TABLE_SIZE = 4 * (1 << MAX_WIDTH)
const TABLE_MASK = TABLE_SIZE - 1
const table = new Uint32Array(TABLE_SIZE)

/** Writes codes of changing width into a growing buffer. */
class CodeWriter {
  #out: Uint8Array
  #length = 0
  #bits = 0
  #bitCount = 0
  width = 9

  constructor(capacity: number) {
    this.#out = new Uint8Array(capacity)
  }

  write(code: number): void {
    this.#bits |= code << this.#bitCount
    this.#bitCount += this.width
    while (this.#bitCount >= 8) {
      this.#byte(this.#bits & 0xff)
      this.#bits >>>= 8
      this.#bitCount -= 8
    }
  }

  finish(): Uint8Array {
    if (this.#bitCount > 0) this.#byte(this.#bits & 0xff)
    return this.#out.slice(0, this.#length)
  }

  #byte(value: number): void {
    if (this.#length === this.#out.length) {
      const grown = new Uint8Array(2 * this.#out.length)
      grown.set(this.#out)
      this.#out = grown
    }
    this.#out[this.#length++] = value
  }
}

/**
 * Compresses, opening with a clear code unless `startWithClear` is false (as Go before 1.17 wrote).
 */
export function lzwEncode(input: Uint8Array, { startWithClear = true } = {}): Uint8Array {
  const out = new CodeWriter(input.length + 16)
  let highest = END
  let overflow = 512
  table.fill(0)
  if (startWithClear) out.write(CLEAR)

  /**
   * Counts one more code as used; false when the table is full, after having told the reader to
   * clear.
   */
  const claimCode = (): boolean => {
    highest++
    if (highest === overflow) {
      out.width++
      overflow <<= 1
    }
    if (highest < MAX_CODE) return true
    out.write(CLEAR)
    out.width = 9
    highest = END
    overflow = 512
    table.fill(0)
    return false
  }

  if (input.length > 0) {
    let code = input[0]!
    for (let i = 1; i < input.length; i++) {
      const byte = input[i]!
      const key = (code << 8) | byte
      let slot = hash(key)
      let entry = table[slot]!
      while (entry !== 0 && entry >>> MAX_WIDTH !== key) {
        slot = (slot + 1) & TABLE_MASK
        entry = table[slot]!
      }
      if (entry !== 0) {
        code = entry & MAX_CODE
      } else {
        out.write(code)
        code = byte
        if (claimCode()) table[slot] = ((key << MAX_WIDTH) | highest) >>> 0
      }
    }
    out.write(code)
    claimCode()
  }
  out.write(END)
  return out.finish()
}

function hash(key: number): number {
  return ((key >>> 12) ^ key) & TABLE_MASK
}

/** Decompresses; refuses to produce more than `limit` bytes. Throws {@link WireError}. */
export function lzwDecode(input: Uint8Array, limit: number): Uint8Array {
  return new Decoder(input, limit).run()
}

class Decoder {
  readonly #input: Uint8Array
  readonly #limit: number
  #out: Uint8Array
  #length = 0
  readonly #prefix = new Uint16Array(1 << MAX_WIDTH)
  readonly #suffix = new Uint8Array(1 << MAX_WIDTH)
  readonly #scratch = new Uint8Array(1 << MAX_WIDTH)
  #width = 9
  #highest = END
  #overflow = 512
  #last = -1

  constructor(input: Uint8Array, limit: number) {
    this.#input = input
    this.#limit = limit
    this.#out = new Uint8Array(Math.min(limit, Math.max(64, 3 * input.length)))
  }

  run(): Uint8Array {
    const input = this.#input
    let bits = 0
    let bitCount = 0
    let position = 0
    for (;;) {
      while (bitCount < this.#width) {
        if (position === input.length) {
          throw new WireError('truncated', 'compressed data has no end code')
        }
        bits |= input[position++]! << bitCount
        bitCount += 8
      }
      const code = bits & ((1 << this.#width) - 1)
      bits >>>= this.#width
      bitCount -= this.#width
      if (code === END) return this.#out.subarray(0, this.#length)
      if (code === CLEAR) this.#clear()
      else this.#expand(code)
    }
  }

  #clear(): void {
    this.#width = 9
    this.#highest = END
    this.#overflow = 512
    this.#last = -1
  }

  #expand(code: number): void {
    if (code > this.#highest) throw new WireError('malformed', 'invalid code in compressed data')
    const scratch = this.#scratch
    let at = scratch.length
    let rest = code
    // A code that is only now being defined stands for the last expansion and its own first byte.
    const fresh = code === this.#highest && this.#last >= 0
    if (fresh) {
      at--
      rest = this.#last
    }
    while (rest >= CLEAR) {
      scratch[--at] = this.#suffix[rest]!
      rest = this.#prefix[rest]!
    }
    scratch[--at] = rest
    if (fresh) scratch[scratch.length - 1] = rest
    this.#emit(scratch.subarray(at))
    this.#define(code, rest)
  }

  #define(code: number, firstByte: number): void {
    if (this.#last >= 0) {
      this.#suffix[this.#highest] = firstByte
      this.#prefix[this.#highest] = this.#last
    }
    this.#last = code
    this.#highest++
    if (this.#highest < this.#overflow) return
    if (this.#width === MAX_WIDTH) {
      this.#last = -1
      this.#highest--
    } else {
      this.#width++
      this.#overflow <<= 1
    }
  }

  #emit(bytes: Uint8Array): void {
    const needed = this.#length + bytes.length
    if (needed > this.#limit) {
      throw new WireError('too-large', `compressed data expands beyond ${this.#limit} bytes`)
    }
    if (needed > this.#out.length) {
      const grown = new Uint8Array(Math.min(this.#limit, Math.max(needed, 2 * this.#out.length)))
      grown.set(this.#out.subarray(0, this.#length))
      this.#out = grown
    }
    this.#out.set(bytes, this.#length)
    this.#length = needed
  }
}
