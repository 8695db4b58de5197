import { type Random, below } from '../../../src/base/random.ts'
import type { Message, ServerId } from '../../../src/consensus/core/types.ts'

interface Packet {
  readonly at: number
  readonly order: number
  readonly from: ServerId
  readonly to: ServerId
  readonly message: Message
}

/** What a network does to packets, in 1/1000. */
export interface Weather {
  lost: number
  doubled: number
  /** Delay beyond the usual 1 ms, at the most, ms. */
  delayMs: number
}

/** A network that loses, delays, doubles and reorders, with cuts in one direction. */
export class RaftNetwork {
  readonly #random: Random
  #packets: Packet[] = []
  #order = 0
  readonly #cuts = new Set<string>()
  weather: Weather = { lost: 0, doubled: 0, delayMs: 2 }

  constructor(random: Random) {
    this.#random = random
  }

  cut(from: ServerId, to: ServerId): void {
    this.#cuts.add(`${from} ${to}`)
  }

  heal(): void {
    this.#cuts.clear()
    this.weather = { lost: 0, doubled: 0, delayMs: 2 }
  }

  send(now: number, from: ServerId, to: ServerId, message: Message): void {
    const copies = below(this.#random, 1000) < this.weather.doubled ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      if (below(this.#random, 1000) < this.weather.lost) continue
      const isLate = below(this.#random, 10) === 0
      const delay = 1 + below(this.#random, this.weather.delayMs * (isLate ? 5 : 1) + 1)
      this.#packets.push({ at: now + delay, order: this.#order++, from, to, message })
    }
  }

  /** The packets that arrive up to `now`, in order. */
  arriving(now: number): Packet[] {
    const due = this.#packets.filter(({ at }) => at <= now)
    if (due.length === 0) return due
    this.#packets = this.#packets.filter(({ at }) => at > now)
    due.sort((a, b) => a.at - b.at || a.order - b.order)
    return due.filter(({ from, to }) => !this.#cuts.has(`${from} ${to}`))
  }
}
