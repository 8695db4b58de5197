/**
 * The dialling side of streams: state exchange, ping and user message. One message each way, then
 * it closes. Every exchange ends within the TCP time-out or when its signal says so.
 */
import type { Clock } from '../../ports/clock.ts'
import type { Config } from '../../config.ts'
import { formatAddress, type SocketAddress } from '../../socket-address.ts'
import { MemberlistError } from '../../errors.ts'
import { MAX_OUTBOUND_STREAMS } from '../../limits.ts'
import type { Keyring } from '../../keyring.ts'
import type { Stream, Transport } from '../../transport/transport.ts'
import { decodeBody, encodeMessage, MessageType, type Ping } from '../../wire/messages.ts'
import type { ReplayFilter } from '../../wire/layers/replay-filter.ts'
import { openStream, sealStream, type OpenedStream } from '../../wire/stream-frame.ts'
import {
  encodePushPull,
  encodeReliable,
  readPushPull,
  type PushPull,
} from '../../wire/stream-messages.ts'
import { StreamReader } from '../../wire/stream-reader.ts'
import type { Messenger } from './messenger.ts'

export interface StreamClientParts {
  readonly config: Config
  readonly clock: Clock
  readonly transport: Transport
  readonly messenger: Messenger
  readonly keyring: Keyring | undefined
  readonly label: Uint8Array
  readonly replays: ReplayFilter
}

/** What ends an exchange early. */
export interface Bounds {
  readonly signal?: AbortSignal | undefined
  /** The TCP time-out unless given. */
  readonly timeoutMs?: number
  /** For the connection alone. */
  readonly dialTimeoutMs?: number
}

/** Opens streams to others and talks over them. */
export class StreamClient {
  readonly #parts: StreamClientParts
  readonly #open = new Set<AbortController>()

  constructor(parts: StreamClientParts) {
    this.#parts = parts
  }

  /** Sends our state, returns theirs. */
  async pushPull(to: SocketAddress, state: PushPull, bounds: Bounds = {}): Promise<PushPull> {
    return await this.#converse(to, bounds, async (stream) => {
      await this.write(stream, encodePushPull(state), true)
      const { type, reader } = await this.open(stream, true)
      if (type !== MessageType.pushPull) throw await refusal(type, reader, to)
      return await readPushPull(reader)
    })
  }

  /** Pings over TCP; true when the answer came in time. Never rejects. */
  async ping(to: SocketAddress, ping: Ping, timeoutMs: number): Promise<boolean> {
    const answered = this.#converse(to, { timeoutMs }, async (stream) => {
      await this.write(stream, encodeMessage({ type: 'ping', body: ping }), true)
      const { type, reader } = await this.open(stream, true)
      const reply = await reader.record((record) => decodeBody(type, record))
      return reply.type === 'ack' && reply.body.seqNo === ping.seqNo
    })
    return await answered.catch(() => false)
  }

  /** Sends a user message; resolves when the other side has closed, which it does after reading. */
  async send(to: SocketAddress, payload: Uint8Array, bounds: Bounds): Promise<void> {
    await this.#converse(to, bounds, async (stream) => {
      await this.write(stream, encodeReliable(payload), true)
      await new StreamReader(stream).drain()
    })
  }

  /** Wraps and writes one message. `dialler`: whether we opened the stream. */
  async write(stream: Stream, message: Uint8Array, dialler: boolean): Promise<void> {
    const { config, label, messenger } = this.#parts
    const encryption = messenger.encryption()
    const compress = config.compression !== 'none'
    await stream.write(
      sealStream(message, { label, dialler, compress, ...(encryption && { encryption }) }),
    )
  }

  /** Reads the wrappers of one message. */
  async open(stream: AsyncIterable<Uint8Array>, dialler: boolean): Promise<OpenedStream> {
    const { config, keyring, label, replays } = this.#parts
    return await openStream(stream, {
      label,
      dialler,
      skipLabelCheck: config.skipInboundLabelCheck,
      keys: keyring?.keys ?? [],
      verify: config.verifyIncoming,
      replays,
    })
  }

  /** Breaks off everything that is under way. */
  close(): void {
    const reason = new MemberlistError('not-running', 'the member list was closed')
    for (const controller of this.#open) controller.abort(reason)
  }

  async #converse<T>(
    to: SocketAddress,
    bounds: Bounds,
    talk: (stream: Stream) => Promise<T>,
  ): Promise<T> {
    const { signal, timeoutMs = this.#parts.config.tcpTimeoutMs, dialTimeoutMs } = bounds
    signal?.throwIfAborted()
    if (this.#open.size >= MAX_OUTBOUND_STREAMS) {
      const message = `${MAX_OUTBOUND_STREAMS} streams are under way: send fewer at once`
      throw new MemberlistError('overloaded', message)
    }
    const controller = new AbortController()
    const giveUp = () => controller.abort(signal?.reason)
    const abortAfter = (ms: number) =>
      this.#parts.clock.setTimeout(() => controller.abort(silence(to, ms)), ms)
    const timers = [timeoutMs, dialTimeoutMs ?? timeoutMs].map(abortAfter)
    const stopTimers = () => {
      for (const timer of timers.splice(0)) this.#parts.clock.clearTimeout(timer)
    }
    signal?.addEventListener('abort', giveUp, { once: true })
    this.#open.add(controller)
    try {
      const stream = await this.#parts.transport.dial(to, { signal: controller.signal })
      this.#parts.clock.clearTimeout(timers.pop()!)
      return await converseOver(stream, controller.signal, talk)
    } finally {
      stopTimers()
      signal?.removeEventListener('abort', giveUp)
      this.#open.delete(controller)
    }
  }
}

function silence(at: SocketAddress, ms: number): MemberlistError {
  return new MemberlistError('timed-out', `${formatAddress(at)} did not answer within ${ms} ms`)
}

async function converseOver<T>(
  stream: Stream,
  signal: AbortSignal,
  talk: (stream: Stream) => Promise<T>,
): Promise<T> {
  const drop = () => stream.destroy(signal.reason as Error)
  signal.addEventListener('abort', drop, { once: true })
  try {
    const result = await talk(stream)
    stream.close()
    return result
  } catch (error) {
    stream.destroy()
    // The reason for giving up says more than the broken stream that it caused.
    throw signal.aborted ? (signal.reason as Error) : error
  } finally {
    signal.removeEventListener('abort', drop)
  }
}

async function refusal(type: number, reader: StreamReader, from: SocketAddress): Promise<Error> {
  const where = formatAddress(from)
  if (type !== MessageType.error) {
    return new MemberlistError('refused', `${where} answered with message type ${type}`)
  }
  const reply = await reader.record((record) => decodeBody(type, record))
  const reason = reply.type === 'error' ? reply.body.error : ''
  return new MemberlistError('refused', `${where} refused: ${reason}`)
}
