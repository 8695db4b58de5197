/**
 * What the two ends of a members' stream say first: a byte 0, or 1 and why the other is refused, as
 * text of a length in 2 bytes; or 2 likewise when the other was evicted. An alert of TLS could only
 * name a class of faults.
 */
import { failure } from '../../base/errors.ts'
import { printable, shortened } from '../../base/printable.ts'
import type { Stream } from './transport.ts'

/** A refusal has one sentence. */
const maxReasonBytes = 400

export const accepted: Uint8Array = Uint8Array.of(0)

const evictedByte = 2

export function refused(reason: string, isEvicted: boolean): Uint8Array {
  const text = Buffer.from(reason).subarray(0, maxReasonBytes)
  return Buffer.concat([
    Uint8Array.of(isEvicted ? evictedByte : 1, text.length >> 8, text.length & 0xff),
    text,
  ])
}

/**
 * A stream between members: what is read begins behind the other's first word, or fails with its
 * refusal.
 */
export class CheckedStream implements Stream {
  readonly #stream: Stream
  /** Whom a refusal is by. */
  readonly #peer: string
  /** The other side says that this host was evicted, which only the authority knows for sure. */
  readonly #onEvicted: () => void
  #isWelcome = false

  constructor(stream: Stream, peer: string, onEvicted: () => void = () => undefined) {
    this.#stream = stream
    this.#peer = peer
    this.#onEvicted = onEvicted
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#stream.write(bytes)
  }

  close(): void {
    this.#stream.close()
  }

  destroy(reason?: Error): void {
    this.#stream.destroy(reason)
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    let head: Uint8Array = new Uint8Array()
    for await (const chunk of this.#stream) {
      if (this.#isWelcome) {
        yield chunk
        continue
      }
      head = Buffer.concat([head, chunk])
      const reason = reasonIn(head)
      if (reason !== null && head[0] === evictedByte) this.#onEvicted()
      if (reason !== null) throw this.#refused(reason)
      this.#isWelcome = head[0] === 0
      if (this.#isWelcome && head.length > 1) yield head.subarray(1)
    }
    if (!this.#isWelcome)
      throw failure('SOCKET', `${this.#peer} closed the connection without a word`)
  }

  /** Rejects with the reason when the other side has refused and closed. */
  async refusal(): Promise<void> {
    await this[Symbol.asyncIterator]().next()
  }

  #refused(reason: string): Error {
    const text = printable(shortened(reason, maxReasonBytes))
    return failure('NOT_ADMITTED', `${this.#peer} refuses this host: ${text}`)
  }
}

/** The reason in a whole refusal; null for a welcome and for what is not whole yet. */
function reasonIn(head: Uint8Array): string | null {
  if (head[0] === 0 || head.length < 3) return null
  const length = Math.min((head[1]! << 8) | head[2]!, maxReasonBytes)
  return head.length < 3 + length ? null : Buffer.from(head.subarray(3, 3 + length)).toString()
}
