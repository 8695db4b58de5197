import type { Clock } from '../ports/clock.ts'
import type { Config } from '../config.ts'
import type { SocketAddress } from '../socket-address.ts'
import { MAX_INBOUND_BYTES } from '../limits.ts'
import type { Stream } from '../transport/transport.ts'
import { decodeBody, encodeMessage, MessageType } from '../wire/messages.ts'
import type { OpenedStream } from '../wire/stream-frame.ts'
import {
  encodePushPull,
  readPushPull,
  readReliable,
  type PushPull,
} from '../wire/stream-messages.ts'
import type { StreamReader } from '../wire/stream-reader.ts'
import { WireError, type WireErrorCode } from '../wire/wire-error.ts'
import type { Roster } from './membership/roster.ts'
import type { StreamClient } from './messaging/stream-client.ts'
import { StreamSlots } from './stream-slots.ts'

export interface StreamServerParts {
  readonly config: Config
  readonly clock: Clock
  readonly name: string
  readonly exchange: StreamClient
  readonly localState: (join: boolean) => PushPull
  readonly merge: (remote: PushPull, from: SocketAddress) => void
  readonly onUserMessage: (payload: Uint8Array, from: SocketAddress) => void
  readonly count: (name: string) => void
  readonly roster: Pick<Roster, 'hasAddress'>
}

/**
 * The accepting side of streams. Whatever comes, we are done with a stream within the TCP time-out;
 * how long the connection may outlive that, waiting for the other side to close it, is for the
 * transport to bound.
 */
export class StreamServer {
  readonly #parts: StreamServerParts
  readonly #streams = new Set<Stream>()
  readonly #slots: StreamSlots
  /** What the streams under way have brought so far. */
  #bytes = 0

  constructor(parts: StreamServerParts) {
    this.#parts = parts
    this.#slots = new StreamSlots((address) => parts.roster.hasAddress(address))
  }

  /** Serves one stream; never rejects for what the other side does. */
  async serve(stream: Stream, from: SocketAddress): Promise<void> {
    const { config, clock, count } = this.#parts
    if (!this.#slots.enter(from.address)) {
      count('stream-overload')
      return stream.destroy()
    }
    this.#streams.add(stream)
    const timer = clock.setTimeout(() => {
      count('stream-timed-out')
      stream.destroy()
    }, config.tcpTimeoutMs)
    let brought = 0
    const meter = (bytes: number) => {
      brought += bytes
      this.#bytes += bytes
      if (this.#bytes <= MAX_INBOUND_BYTES) return
      throw new WireError('overload', `all streams bring more than ${MAX_INBOUND_BYTES} bytes`)
    }
    try {
      await this.#answer(stream, metered(stream, meter), from)
      stream.close()
    } catch (error) {
      await this.#refuse(stream, error)
    } finally {
      clock.clearTimeout(timer)
      this.#bytes -= brought
      this.#streams.delete(stream)
      this.#slots.leave(from.address)
    }
  }

  close(): void {
    for (const stream of this.#streams) stream.destroy()
  }

  async #answer(
    stream: Stream,
    source: AsyncIterable<Uint8Array>,
    from: SocketAddress,
  ): Promise<void> {
    const opened = await this.#parts.exchange.open(source, false)
    switch (opened.type) {
      case MessageType.pushPull:
        return await this.#answerPushPull(stream, opened.reader, from)
      case MessageType.user:
        return this.#parts.onUserMessage(Uint8Array.from(await readReliable(opened.reader)), from)
      case MessageType.ping:
        return await this.#answerPing(stream, opened)
      default:
        throw new WireError('unknown-type', `message type ${opened.type} does not open a stream`)
    }
  }

  /** The answer goes out before the merge, so it shows our state as it was, as in Go. */
  async #answerPushPull(stream: Stream, reader: StreamReader, from: SocketAddress): Promise<void> {
    const { exchange, localState, merge } = this.#parts
    const remote = await readPushPull(reader)
    await exchange.write(stream, encodePushPull(localState(remote.join)), false)
    merge(remote, from)
  }

  async #answerPing(stream: Stream, { type, reader }: OpenedStream): Promise<void> {
    const { exchange, name, count } = this.#parts
    const ping = await reader.record((record) => decodeBody(type, record))
    if (ping.type !== 'ping') return
    if (ping.body.node !== '' && ping.body.node !== name) return count('ping-for-another')
    const ack = encodeMessage({ type: 'ack', body: { seqNo: ping.body.seqNo, payload: null } })
    await exchange.write(stream, ack, false)
  }

  /**
   * Says why, as Go does, encrypted when we have a key, unless nobody honest waits for it or we
   * have enough to do.
   */
  async #refuse(stream: Stream, error: unknown): Promise<void> {
    if (!(error instanceof WireError)) {
      if (isBug(error)) throw error
      this.#parts.count('stream-broken')
      return stream.destroy()
    }
    this.#parts.count(`stream-${error.code}`)
    if (UNANSWERED.has(error.code)) return stream.destroy()
    try {
      const reply = encodeMessage({ type: 'error', body: { error: error.message } })
      await this.#parts.exchange.write(stream, reply, false)
      stream.close()
    } catch {
      stream.destroy()
    }
  }
}

const UNANSWERED: ReadonlySet<WireErrorCode> = new Set(['truncated', 'replayed', 'overload'])

async function* metered(
  source: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    count(chunk.length)
    yield chunk
  }
}

/** Errors of the language show a mistake of ours; connections break with others. */
function isBug(error: unknown): boolean {
  return (
    error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError
  )
}
