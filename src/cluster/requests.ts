/**
 * Requests between two members. A request is a packet that is repeated until the answer or the
 * time-out comes, or, when it is too long for a packet, a stream; the answer likewise. The callee
 * remembers its answers, so a request that arrives twice is handled once.
 */
import { type Packed, pack, unpack } from '../base/bytes.ts'
import type { Clock, Timer } from '../base/clock.ts'
import { AssertionError, type ErrorCode, OverlayError, failure, messageOf } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import { type Frame, encodeFrame, envelopeBytes } from './wire/frames.ts'

/** The first repetition; each later wait is twice as long, up to `maxRepeatMs`. */
const minRepeatMs = 100
const maxRepeatMs = 1000
/** How long an answer is remembered: longer than a request is repeated. */
const rememberMs = 60_000
/**
 * Remembered answers together; beyond, the oldest go, and a request that repeats is handled again.
 */
const maxRememberedChars = 8 * 1024 * 1024
/** Requests of one member that are being handled; it repeats what is beyond. */
const maxHandledPerMember = 256

/** A JSON value: the body of a request or an answer. */
export type Json =
  null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** A handler of one channel. Its rejection is what the asker's promise rejects with. */
export type RequestHandler = (from: string, body: Json) => Promise<Json>

export interface RequestOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

interface RequestsPorts {
  readonly clock: Clock
  readonly random: Random
  readonly maxRequests: number
  readonly self: string
  /** Sends frames to a member, as a packet or, when they are too long for one, over a stream. */
  readonly send: (member: string, frames: readonly Frame[]) => void
  readonly isLive: (member: string) => boolean
  readonly maxPacketPayload: () => number
}

interface Outstanding {
  readonly member: string
  readonly settle: (outcome: { value: Json } | { error: unknown }) => void
}

export class Requests {
  readonly #ports: RequestsPorts
  readonly #handlers = new Map<string, RequestHandler>()
  readonly #listeners = new Map<string, (from: string, body: Uint8Array) => void>()
  readonly #outstanding = new Map<number, Outstanding>()
  /** By asker and id: the answer, or null while it is being made. Oldest first, by `atMs`. */
  readonly #answered = new Map<string, { answer: Frame | null; atMs: number; chars: number }>()
  #chars = 0
  /** By asker, how many of its requests are being handled. */
  readonly #handling = new Map<string, number>()
  #nextId: number

  constructor(ports: RequestsPorts) {
    this.#ports = ports
    // Far from the ids of an earlier run, so that a new request is not mistaken for an old one.
    this.#nextId = ports.random.uint32() * 0x1_0000
  }

  get outstanding(): number {
    return this.#outstanding.size
  }

  handle(channel: string, handler: RequestHandler): void {
    this.#handlers.set(channel, handler)
  }

  /** Sends a message to a live member; it may be lost, and nothing is answered. */
  send(member: string, channel: string, body: Uint8Array): void {
    const frame: Frame = { kind: 'message', channel, body: pack(body) }
    if (this.#ports.isLive(member)) this.#ports.send(member, [frame])
  }

  /** Hands over the messages of a channel. */
  listen(channel: string, listener: (from: string, body: Uint8Array) => void): void {
    this.#listeners.set(channel, listener)
  }

  onMessage(from: string, channel: string, body: Packed): void {
    this.#listeners.get(channel)?.(from, unpack(body))
  }

  async request(
    member: string,
    channel: string,
    body: Json,
    { timeoutMs, signal }: RequestOptions,
  ): Promise<Json> {
    signal?.throwIfAborted()
    const { self, isLive, maxRequests } = this.#ports
    if (member === self) return this.#ownAnswer(channel, body)
    if (!isLive(member)) throw awayError(member)
    if (this.#outstanding.size >= maxRequests) {
      throw failure('MEMBER_AWAY', `${maxRequests} requests are under way; try again`)
    }
    const id = (this.#nextId = (this.#nextId + 1) % 2 ** 48)
    const frame: Frame = { kind: 'request', id, channel, body: JSON.stringify(body) }
    return this.#ask(member, frame, { timeoutMs, signal })
  }

  onRequest(from: string, { id, channel, body }: Extract<Frame, { kind: 'request' }>): void {
    const { clock, send } = this.#ports
    const key = `${id} ${from}`
    const known = this.#answered.get(key)
    if (known !== undefined) {
      if (known.answer !== null) send(from, [known.answer])
      return
    }
    const handling = this.#handling.get(from) ?? 0
    if (handling >= maxHandledPerMember || !this.#makeRoom()) return
    this.#handling.set(from, handling + 1)
    this.#answered.set(key, { answer: null, atMs: clock.now(), chars: 0 })
    void this.#handled(from, channel, body).then(({ ok, text }) => {
      const answer: Frame = { kind: 'answer', id, ok, body: text }
      const left = this.#handling.get(from)! - 1
      if (left === 0) this.#handling.delete(from)
      else this.#handling.set(from, left)
      this.#answered.delete(key)
      this.#answered.set(key, { answer, atMs: clock.now(), chars: text.length })
      this.#chars += text.length
      send(from, [answer])
    })
  }

  onAnswer(from: string, { id, ok, body }: Extract<Frame, { kind: 'answer' }>): void {
    const outstanding = this.#outstanding.get(id)
    if (outstanding === undefined || outstanding.member !== from) return
    const value = parseBody(body)
    outstanding.settle(ok ? { value } : { error: errorOf(from, value) })
  }

  /** A member went away: its requests fail. */
  onAway(member: string): void {
    for (const outstanding of this.#outstanding.values()) {
      if (outstanding.member === member) outstanding.settle({ error: awayError(member) })
    }
  }

  close(): void {
    for (const { member, settle } of this.#outstanding.values())
      settle({ error: awayError(member) })
  }

  #ask(
    member: string,
    frame: Extract<Frame, { kind: 'request' }>,
    { timeoutMs, signal }: RequestOptions,
  ): Promise<Json> {
    const { clock, send, maxPacketPayload } = this.#ports
    const streamed = encodeFrame(frame).length + envelopeBytes > maxPacketPayload()
    return new Promise((resolve, reject) => {
      let repeat: Timer
      const settle: Outstanding['settle'] = (outcome) => {
        this.#outstanding.delete(frame.id)
        clock.clearTimeout(repeat)
        clock.clearTimeout(limit)
        signal?.removeEventListener('abort', abort)
        if ('value' in outcome) resolve(outcome.value)
        else reject(outcome.error)
      }
      const late = `${member} did not answer "${frame.channel}" within ${timeoutMs} ms`
      const limit = clock.setTimeout(() => settle({ error: failure('DEADLINE', late) }), timeoutMs)
      const abort = (): void => settle({ error: signal?.reason })
      signal?.addEventListener('abort', abort)
      const repeatedly = (wait: number): void => {
        send(member, [frame])
        repeat = clock.setTimeout(() => repeatedly(Math.min(2 * wait, maxRepeatMs)), wait)
      }
      this.#outstanding.set(frame.id, { member, settle })
      repeatedly(streamed ? maxRepeatMs : minRepeatMs)
    })
  }

  async #handled(
    from: string,
    channel: string,
    body: string,
  ): Promise<{ ok: boolean; text: string }> {
    try {
      const value = await this.#handlerOf(channel)(from, parseBody(body))
      return { ok: true, text: JSON.stringify(value) }
    } catch (error) {
      if (error instanceof AssertionError) throw error
      return { ok: false, text: JSON.stringify(errorBody(error)) }
    }
  }

  async #ownAnswer(channel: string, body: Json): Promise<Json> {
    return this.#handlerOf(channel)(this.#ports.self, body)
  }

  #handlerOf(channel: string): RequestHandler {
    const handler = this.#handlers.get(channel)
    if (handler !== undefined) return handler
    throw failure('UNSUPPORTED', `${this.#ports.self} knows no requests of the kind "${channel}"`)
  }

  /**
   * Forgets answers, the oldest first, that are old or too many; requests that are being handled
   * stay. Whether there is room for one more.
   */
  #makeRoom(): boolean {
    const { clock, maxRequests } = this.#ports
    const limit = 4 * maxRequests
    const before = clock.now() - rememberMs
    for (const [key, { answer, atMs, chars }] of this.#answered) {
      const isTooMuch = this.#answered.size >= limit || this.#chars > maxRememberedChars
      if (!isTooMuch && atMs >= before) break
      if (answer === null) continue
      this.#answered.delete(key)
      this.#chars -= chars
    }
    return this.#answered.size < limit
  }
}

function awayError(member: string): OverlayError {
  return failure('MEMBER_AWAY', `member ${member} is away; try again when it is back`)
}

function parseBody(text: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch {
    return null
  }
}

function errorBody(error: unknown): Json {
  const message = messageOf(error)
  return error instanceof OverlayError
    ? { kind: error.kind, code: error.code, message }
    : { message }
}

/** The error that the handler threw, as far as the wire carries it. */
function errorOf(from: string, body: Json): OverlayError {
  const fields = typeof body === 'object' && body !== null ? (body as Record<string, Json>) : {}
  const { kind, code, message } = fields
  const text = typeof message === 'string' ? message : 'no reason given'
  if ((kind === 'refusal' || kind === 'failure') && typeof code === 'string') {
    return new OverlayError(kind, code as ErrorCode, text)
  }
  return failure('MEMBER_ERROR', `${from}: ${text}`)
}
