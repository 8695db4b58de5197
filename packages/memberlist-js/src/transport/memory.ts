import type { Clock } from '../ports/clock.ts'
import { formatAddress, type SocketAddress } from '../socket-address.ts'
import { MemberlistError } from '../errors.ts'
import { below, fraction, type Random } from '../ports/random.ts'
import { MemoryStream, type Pipe } from './memory-stream.ts'
import type { Stream, Transport } from './transport.ts'

/** How the links of a {@link MemoryNetwork} behave. Chances are per packet, 0 to 1. */
export interface LinkConditions {
  /** One-way delay, drawn uniformly from this range, in ms. A wide range reorders packets. */
  readonly delayMs: readonly [least: number, most: number]
  /** Streams lose nothing, but are late for it. */
  readonly loss: number
  /** Streams are not touched. */
  readonly duplication: number
}

const GOOD: LinkConditions = { delayMs: [0.2, 1], loss: 0, duplication: 0 }

/** What a lost segment costs a stream; about TCP's least retransmission time-out. */
const STREAM_RETRY_MS = 200

/** What a {@link MemoryNetwork} runs on. */
export interface MemoryNetworkOptions {
  /** Delays pass on it. */
  readonly clock: Clock
  /** For delays, losses and duplicates. */
  readonly random: Random
  /** At the start; 0.2 to 1 ms and nothing lost unless given. */
  readonly conditions?: Partial<LinkConditions>
  /** Called whenever a stream makes progress: `() => clock.settle()` with a virtual clock. */
  readonly onStreamProgress?: () => void
}

/**
 * A network inside the process, with delay, loss, duplication, partitions and frozen hosts. For
 * tests and demos.
 */
export class MemoryNetwork {
  /** May be changed at any time; holds for what is sent from then on. */
  conditions: LinkConditions
  /** Packets handed over so far, and their bytes. */
  readonly traffic = { packets: 0, bytes: 0, streams: 0 }
  /**
   * Whether the way from one host to another is open, in that direction alone; beside partitions,
   * and for what is sent from then on. Hosts are given as `formatEndpoint` writes them.
   */
  passes: (from: string, to: string) => boolean = () => true
  readonly #clock: Clock
  readonly #random: Random
  readonly #progress: () => void
  readonly #hosts = new Map<string, MemoryTransport>()
  readonly #groups = new Map<string, number>()
  readonly #frozen = new Map<string, (() => void)[]>()

  constructor({ clock, random, conditions, onStreamProgress }: MemoryNetworkOptions) {
    this.#clock = clock
    this.#random = random
    this.#progress = onStreamProgress ?? (() => undefined)
    this.conditions = { ...GOOD, ...conditions }
  }

  /** A host of this network. Throws `invalid-option` when the endpoint is taken. */
  transport(endpoint: SocketAddress): Transport {
    const key = formatAddress(endpoint)
    if (this.#hosts.has(key)) {
      throw new MemberlistError('invalid-option', `${key} is taken`)
    }
    const host: MemoryTransport = new MemoryTransport(endpoint, {
      send: (packet, to) => this.#send(packet, key, endpoint, to),
      dial: async (to, signal) => await this.#dial(key, endpoint, to, signal),
      close: () => {
        // Closed once more, it may be another host that has the endpoint by now.
        if (this.#hosts.get(key) === host) this.#hosts.delete(key)
      },
    })
    this.#hosts.set(key, host)
    return host
  }

  /** Cuts the network: hosts of different groups, and those in none, do not reach each other. */
  partition(groups: readonly (readonly SocketAddress[])[]): void {
    this.#groups.clear()
    groups.forEach((group, i) => {
      for (const endpoint of group) this.#groups.set(formatAddress(endpoint), i + 1)
    })
  }

  /** Ends all partitions. */
  heal(): void {
    this.#groups.clear()
  }

  /**
   * Stops what arrives at a host, as if its process were stopped. What it sends still goes out: a
   * stopped process needs a stopped clock as well.
   */
  freeze(endpoint: SocketAddress): void {
    const key = formatAddress(endpoint)
    if (!this.#frozen.has(key)) this.#frozen.set(key, [])
  }

  /** Delivers what has arrived meanwhile, and goes on. */
  thaw(endpoint: SocketAddress): void {
    const key = formatAddress(endpoint)
    const waiting = this.#frozen.get(key) ?? []
    this.#frozen.delete(key)
    for (const deliver of waiting) deliver()
  }

  #send(packet: Uint8Array, fromKey: string, from: SocketAddress, to: SocketAddress): void {
    this.traffic.packets++
    this.traffic.bytes += packet.length
    const toKey = formatAddress(to)
    if (!this.#connected(fromKey, toKey)) return
    const { loss, duplication } = this.conditions
    const copies = fraction(this.#random) < duplication ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      if (fraction(this.#random) < loss) continue
      this.#later(toKey, this.#delay(), () =>
        this.#hosts.get(toKey)?.deliver(packet, from, this.#clock),
      )
    }
  }

  async #dial(
    fromKey: string,
    from: SocketAddress,
    to: SocketAddress,
    signal: AbortSignal,
  ): Promise<Stream> {
    signal.throwIfAborted()
    const toKey = formatAddress(to)
    this.traffic.streams++
    return await new Promise<Stream>((resolve, reject) => {
      signal.addEventListener('abort', () => {
        this.#progress()
        reject(signal.reason as Error)
      })
      // Without a way there or back nothing ever comes back: the attempt hangs until it is given
      // up.
      if (!this.#connected(fromKey, toKey) || !this.#connected(toKey, fromKey)) return
      this.#later(toKey, this.#streamDelay(), () => {
        this.#progress()
        const host = this.#hosts.get(toKey)
        if (host === undefined) return reject(new Error(`connect ECONNREFUSED ${toKey}`))
        const [near, far] = MemoryStream.pair(
          this.#pipe(fromKey, toKey),
          this.#pipe(toKey, fromKey),
        )
        resolve(near)
        host.accept(far, { address: from.address, port: 1024 + below(this.#random, 64_000) })
      })
    })
  }

  /**
   * How one direction of a stream carries its steps: in order, late, and none any more after a cut.
   * A stream never has a hole: what was lost in the cut would have to come first.
   */
  #pipe(fromKey: string, toKey: string): Pipe {
    let earliest = 0
    let stalled = false
    return (step) => {
      stalled ||= !this.#connected(fromKey, toKey)
      if (stalled) return
      const now = this.#clock.now()
      earliest = Math.max(earliest, now + this.#streamDelay())
      this.#later(toKey, earliest - now, () => {
        this.#progress()
        step()
      })
    }
  }

  #later(toKey: string, delayMs: number, step: () => void): void {
    this.#clock.setTimeout(() => {
      const waiting = this.#frozen.get(toKey)
      if (waiting === undefined) step()
      else waiting.push(step)
    }, delayMs)
  }

  #connected(from: string, to: string): boolean {
    return this.#groups.get(from) === this.#groups.get(to) && this.passes(from, to)
  }

  #delay(): number {
    const [least, most] = this.conditions.delayMs
    return least + fraction(this.#random) * (most - least)
  }

  #streamDelay(): number {
    let delay = this.#delay()
    while (fraction(this.#random) < this.conditions.loss) delay += STREAM_RETRY_MS
    return delay
  }
}

interface Link {
  send(packet: Uint8Array, to: SocketAddress): void
  dial(to: SocketAddress, signal: AbortSignal): Promise<Stream>
  close(): void
}

class MemoryTransport implements Transport {
  readonly advertise: SocketAddress
  readonly #link: Link
  #receivePacket: Parameters<Transport['onPacket']>[0] | undefined
  #receiveStream: Parameters<Transport['onStream']>[0] | undefined
  #closed = false

  constructor(endpoint: SocketAddress, link: Link) {
    this.advertise = endpoint
    this.#link = link
  }

  send(packet: Uint8Array, to: SocketAddress): void {
    if (!this.#closed) this.#link.send(packet, to)
  }

  onPacket(receive: Parameters<Transport['onPacket']>[0]): void {
    this.#receivePacket = receive
  }

  async dial(to: SocketAddress, { signal }: { readonly signal: AbortSignal }): Promise<Stream> {
    return await this.#link.dial(to, signal)
  }

  onStream(receive: Parameters<Transport['onStream']>[0]): void {
    this.#receiveStream = receive
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#link.close()
  }

  deliver(packet: Uint8Array, from: SocketAddress, clock: Clock): void {
    this.#receivePacket?.(packet, from, clock.now())
  }

  accept(stream: Stream, from: SocketAddress): void {
    this.#receiveStream?.(stream, from)
  }
}
