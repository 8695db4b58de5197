import { type Socket, createSocket } from 'node:dgram'
import type { Clock } from '../../../base/clock.ts'
import { Timeout } from '../../../base/timers.ts'
import { dnsPort } from './steering.ts'

/** What the engine itself answers at a time, and more than any program asks. */
const maxUnderWay = 1024
/** The engine asks up to three servers for four seconds each. */
const maxAnswerMs = 15_000
const resolverText = '127.0.0.11'
const headerBytes = 12
const servfail = 2

interface UnderWay {
  readonly query: Buffer
  readonly reply: (answer: Buffer) => void
  readonly endMs: number
}

/**
 * Passes queries on to the engine's resolver, over one socket. Only the id is replaced, as queries
 * of several clients may have the same. After a refusal or a query without an answer it is spent:
 * the engine may have restarted and have other ports, which only a new socket reaches.
 */
export class Forwarder {
  readonly #clock: Clock
  readonly #socket: Socket
  readonly #underWay = new Map<number, UnderWay>()
  readonly #expiry: Timeout
  #lastId = 0
  #isSpent = false
  #isClosed = false

  /** Takes over a marked UDP socket of the sandbox. */
  constructor(fd: number, clock: Clock) {
    this.#clock = clock
    this.#expiry = new Timeout(clock, () => this.#expire())
    this.#socket = datagramSocket()
    this.#socket.on('error', () => this.#refused())
    this.#socket.on('message', (answer) => this.#onAnswer(answer))
    this.#socket.bind({ fd, exclusive: true })
    this.#socket.connect(dnsPort, resolverText)
  }

  /** Whether new queries need a new forwarder. */
  get isSpent(): boolean {
    return this.#isSpent
  }

  /** Passes a query of at least a header on. `reply` is called once. */
  send(query: Buffer, reply: (answer: Buffer) => void): void {
    if (this.#isClosed || this.#underWay.size >= maxUnderWay) return reply(failed(query))
    const id = this.#freeId()
    this.#underWay.set(id, { query, reply, endMs: this.#clock.now() + maxAnswerMs })
    this.#expiry.setIfIdle(maxAnswerMs)
    const message = Buffer.from(query)
    message.writeUInt16BE(id, 0)
    this.#socket.send(message, (error) => {
      if (error !== null) this.#refused()
    })
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#isSpent = true
    this.#expiry.stop()
    this.#socket.close()
  }

  #onAnswer(answer: Buffer): void {
    if (answer.length < headerBytes) return
    const id = answer.readUInt16BE(0)
    const found = this.#underWay.get(id)
    if (found === undefined) return
    this.#underWay.delete(id)
    answer.writeUInt16BE(found.query.readUInt16BE(0), 0)
    found.reply(answer)
    this.#closeIfDone()
  }

  /** The engine is away: clients are told at once, as waiting helps nobody. */
  #refused(): void {
    this.close()
    const waiting = [...this.#underWay.values()]
    this.#underWay.clear()
    for (const { query, reply } of waiting) reply(failed(query))
  }

  #expire(): void {
    const now = this.#clock.now()
    for (const [id, { endMs, query, reply }] of this.#underWay) {
      if (endMs > now) {
        this.#expiry.set(endMs - now)
        break
      }
      this.#underWay.delete(id)
      this.#isSpent = true
      reply(failed(query))
    }
    this.#closeIfDone()
  }

  #closeIfDone(): void {
    if (this.#isSpent && this.#underWay.size === 0) this.close()
  }

  #freeId(): number {
    do this.#lastId = (this.#lastId + 1) & 0xffff
    while (this.#underWay.has(this.#lastId))
    return this.#lastId
  }
}

/** A UDP socket whose addresses are numbers, so that nothing is looked up. */
export function datagramSocket(): Socket {
  return createSocket({
    type: 'udp4',
    lookup: (address, _options, done) => done(null, address, 4),
  })
}

/** The query as an answer that says SERVFAIL. */
export function failed(query: Buffer): Buffer {
  const answer = Buffer.from(query)
  answer[2] = answer[2]! | 0x80
  answer[3] = (answer[3]! & 0x70) | 0x80 | servfail
  return answer
}
