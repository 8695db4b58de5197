import type { Clock } from '../../base/clock.ts'

/** Messages between members, which may be lost. */
interface Messages {
  send(member: string, channel: string, body: Uint8Array): void
  listen(channel: string, listener: (from: string, body: Uint8Array) => void): void
}

const [questions, echoes] = ['ping', 'ping-echo']
const timeoutMs = 1000
const sequenceBytes = 4
/** Too long for a packet of gossip: it goes over a stream, and so does its echo. */
const streamedBytes = 3000

/** Asks members for echoes over gossip's own ways: datagrams and streams. */
export class GossipPing {
  readonly #clock: Clock
  readonly #messages: Messages
  readonly #awaited = new Map<string, () => void>()
  #sequence: number

  /** `first`: a random number, so that no echo of an earlier process is taken for one of ours. */
  constructor(clock: Clock, messages: Messages, first: number) {
    this.#clock = clock
    this.#messages = messages
    this.#sequence = first
    messages.listen(questions, (from, body) => {
      if (body.length <= streamedBytes) messages.send(from, echoes, body)
    })
    messages.listen(echoes, (from, body) => {
      if (body.length >= sequenceBytes) this.#awaited.get(`${sequenceOf(body)} ${from}`)?.()
    })
  }

  /** The round trip, ms; null when no echo came. */
  probe(member: string, way: 'packet' | 'stream'): Promise<number | null> {
    const sequence = (this.#sequence = (this.#sequence + 1) % 2 ** 32)
    const body = Buffer.alloc(way === 'packet' ? sequenceBytes : streamedBytes)
    body.writeUInt32BE(sequence)
    const key = `${sequence} ${member}`
    const sentMs = this.#clock.now()
    return new Promise((resolve) => {
      const settle = (rttMs: number | null): void => {
        this.#clock.clearTimeout(limit)
        this.#awaited.delete(key)
        resolve(rttMs)
      }
      const limit = this.#clock.setTimeout(() => settle(null), timeoutMs)
      this.#awaited.set(key, () => settle(this.#clock.now() - sentMs))
      this.#messages.send(member, questions, body)
    })
  }
}

function sequenceOf(body: Uint8Array): number {
  return new DataView(body.buffer, body.byteOffset, body.byteLength).getUint32(0)
}
