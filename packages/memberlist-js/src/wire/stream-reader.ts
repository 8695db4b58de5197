import { MAX_RECORD_BYTES, MAX_STREAM_BYTES } from '../limits.ts'
import { MsgpackReader } from './msgpack/msgpack-reader.ts'
import { WireError } from './wire-error.ts'

/**
 * Reads a stream of chunks as bytes, records and blocks. Everything it returns is a view into its
 * buffer; what is kept must be copied.
 */
export class StreamReader {
  readonly #source: AsyncIterator<Uint8Array> | undefined
  #buffer: Uint8Array
  #start = 0
  #end: number
  #total: number

  /** Reads `initial` first, then what `source` brings. */
  constructor(
    source: AsyncIterable<Uint8Array> | undefined,
    initial: Uint8Array = new Uint8Array(),
  ) {
    this.#source = source?.[Symbol.asyncIterator]()
    this.#buffer = initial
    this.#end = initial.length
    this.#total = initial.length
  }

  /** The next byte, left in place. `undefined` at the end of the stream. */
  async peek(): Promise<number | undefined> {
    if (this.#start === this.#end && !(await this.#more())) return undefined
    return this.#buffer[this.#start]
  }

  /** The next `n` bytes. Throws `truncated`. */
  async take(n: number): Promise<Uint8Array> {
    while (this.#end - this.#start < n) await this.#require(n)
    const bytes = this.#buffer.subarray(this.#start, this.#start + n)
    this.#start += n
    return bytes
  }

  /** The next byte. Throws `truncated`. */
  async byte(): Promise<number> {
    return (await this.take(1))[0]!
  }

  /**
   * Decodes the next record, waiting for as many bytes as it turns out to need, up to `most`: each
   * attempt begins at the record's start.
   */
  async record<T>(decode: (reader: MsgpackReader) => T, most = MAX_RECORD_BYTES): Promise<T> {
    for (;;) {
      const reader = new MsgpackReader(this.#buffer.subarray(0, this.#end), this.#start)
      try {
        const value = decode(reader)
        this.#start = reader.position
        return value
      } catch (error) {
        if (!(error instanceof WireError) || error.code !== 'truncated') throw error
        if (this.#end - this.#start > most) {
          throw new WireError('too-large', `a record has more than ${most} bytes`)
        }
        if (!(await this.#more())) throw error
      }
    }
  }

  /** Waits until the other side has closed, passing over what it still sends. */
  async drain(): Promise<void> {
    while (await this.#more()) this.#start = this.#end
  }

  async #require(n: number): Promise<void> {
    if (!(await this.#more(n))) {
      throw new WireError(
        'truncated',
        `a stream ended ${n - (this.#end - this.#start)} bytes early`,
      )
    }
  }

  async #more(wanted = 0): Promise<boolean> {
    const next = await this.#source?.next()
    if (next === undefined || next.done === true) return false
    const chunk = next.value
    this.#total += chunk.length
    if (this.#total > MAX_STREAM_BYTES) {
      throw new WireError('too-large', `a stream brought more than ${MAX_STREAM_BYTES} bytes`)
    }
    this.#append(chunk, wanted)
    return true
  }

  #append(chunk: Uint8Array, wanted: number): void {
    const held = this.#end - this.#start
    if (held === 0) {
      this.#buffer = chunk
      this.#start = 0
      this.#end = chunk.length
      return
    }
    if (this.#end + chunk.length > this.#buffer.length) {
      const room = Math.max(held + chunk.length, Math.min(wanted, 2 * held), 2 * held)
      const grown = new Uint8Array(room)
      grown.set(this.#buffer.subarray(this.#start, this.#end))
      this.#buffer = grown
      this.#start = 0
      this.#end = held
    }
    this.#buffer.set(chunk, this.#end)
    this.#end += chunk.length
  }
}
