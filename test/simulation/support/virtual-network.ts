import type { Clock } from '../../../src/base/clock.ts'
import type { Random } from '../../../src/base/random.ts'

/** What the network does to packets. Streams are only slowed, or break when the way is cut. */
export interface LinkFaults {
  /** Share of packets that get lost. */
  loss: number
  /** Share of packets that arrive twice. */
  duplication: number
  /** Milliseconds of every packet, and the most that chance adds; the latter reorders. */
  delayMs: number
  jitterMs: number
  /** Share of packets that arrive once more, up to ten seconds later. */
  echoes: number
  /** Every packet vanishes; membership, which the model gossips by itself, notices nothing. */
  silent: boolean
}

/** The latest that an echo comes. */
const echoMostMs = 10_000
/** How long a stream to nowhere takes to fail. */
const dialTimeoutMs = 1000
/** A stream's speed: 1 Gbit/s. */
const streamBytesPerMs = 125_000

/** Hosts by name, and what happens to bytes between them. */
export class VirtualNetwork {
  readonly faults: LinkFaults = {
    loss: 0,
    duplication: 0,
    delayMs: 0.2,
    jitterMs: 0.8,
    echoes: 0,
    silent: false,
  }
  readonly sent = { packets: 0, packetBytes: 0, streams: 0, streamBytes: 0, lost: 0 }
  readonly #clock: Clock
  readonly #random: Random
  readonly #cut = new Set<string>()
  readonly #up = new Set<string>()

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  up(host: string): void {
    this.#up.add(host)
  }

  down(host: string): void {
    this.#up.delete(host)
  }

  /** Packets from `from` to `to` vanish; the other way is another cut. */
  cut(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`)
  }

  /** Undoes all cuts. */
  heal(): void {
    this.#cut.clear()
  }

  /** Whether bytes sent now would arrive, but for loss. */
  passes(from: string, to: string): boolean {
    return this.#up.has(from) && this.#up.has(to) && !this.#cut.has(`${from}>${to}`)
  }

  /** A packet: maybe lost, late or twice. `deliver` runs when it arrives. */
  packet(from: string, to: string, bytes: number, deliver: () => void): void {
    this.sent.packets++
    this.sent.packetBytes += bytes
    const { silent, loss } = this.faults
    if (silent || !this.passes(from, to) || this.chance(loss)) {
      this.sent.lost++
      return
    }
    const copies = this.chance(this.faults.duplication) ? 2 : 1
    for (let i = 0; i < copies; i++) {
      this.#clock.setTimeout(() => this.#up.has(to) && deliver(), this.delayMs())
    }
    if (!this.chance(this.faults.echoes)) return
    const late = (echoMostMs * this.#random.uint32()) / 2 ** 32
    this.#clock.setTimeout(() => this.#up.has(to) && deliver(), late)
  }

  /**
   * A stream there and back: resolves when its bytes have arrived, rejects when there is no way.
   */
  stream(from: string, to: string, bytes: number, deliver: () => void): Promise<void> {
    this.sent.streams++
    this.sent.streamBytes += bytes
    return new Promise((resolve, reject) => {
      const way = this.passes(from, to) && this.passes(to, from)
      if (!way) {
        this.#clock.setTimeout(() => reject(new Error(`no way to ${to}`)), dialTimeoutMs)
        return
      }
      const ms = 3 * this.delayMs() + bytes / streamBytesPerMs
      this.#clock.setTimeout(() => {
        if (!this.passes(from, to)) {
          reject(new Error(`the stream to ${to} broke`))
          return
        }
        deliver()
        resolve()
      }, ms)
    })
  }

  delayMs(): number {
    return this.faults.delayMs + (this.faults.jitterMs * this.#random.uint32()) / 2 ** 32
  }

  chance(share: number): boolean {
    return share > 0 && this.#random.uint32() / 2 ** 32 < share
  }
}
