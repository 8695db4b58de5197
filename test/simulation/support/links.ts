/** The library's network for a world: one-way cuts between hosts, and trouble for records alone. */
import { MemoryNetwork, type SocketAddress, type VirtualClock, formatAddress } from 'memberlist-js'
import type { Random } from '../../../src/base/random.ts'
import type { GossipTransport } from '../../../src/cluster/gossip/gossip-transport.ts'
import type { Ip } from '../../../src/net/ip.ts'

/** Where a host's gossip listens. */
interface Located {
  readonly address: Ip
}

const gossipPort = 7946
/** The latest that an echo comes. */
const maxEchoMs = 10_000

export class Links {
  readonly network: MemoryNetwork
  /** The records' messages, without those of membership. */
  readonly sent = { packets: 0, packetBytes: 0, streamBytes: 0 }
  /** Every packet with records is lost; membership notices nothing. */
  silent = false
  /** Share of packets with records that arrive once more, up to ten seconds later. */
  echoes = 0
  readonly #clock: VirtualClock
  readonly #random: Random
  readonly #cut = new Set<string>()

  constructor(clock: VirtualClock, random: Random) {
    this.#clock = clock
    this.#random = random
    this.network = new MemoryNetwork({ clock, random, onStreamProgress: () => clock.settle() })
    this.network.passes = (from, to) => !this.#cut.has(`${from}>${to}`)
  }

  /** Packets from `from` to `to` are lost; the other direction is another cut. */
  cut(from: Located, to: Located): void {
    this.#cut.add(`${formatAddress(socketOf(from))}>${formatAddress(socketOf(to))}`)
  }

  /** Cuts both directions between two groups. */
  split(left: readonly Located[], right: readonly Located[]): void {
    for (const a of left) {
      for (const b of right) {
        this.cut(a, b)
        this.cut(b, a)
      }
    }
  }

  /** Undoes all cuts. */
  heal(): void {
    this.#cut.clear()
  }

  /** The same transport, whose records are counted, lost and repeated. */
  over(gossip: GossipTransport): GossipTransport {
    const { sent } = this
    const sendUnreliable = gossip.sendUnreliable.bind(gossip)
    const sendReliable = gossip.sendReliable.bind(gossip)
    return Object.assign(gossip, {
      sendUnreliable: (member: string, bytes: Uint8Array) => {
        sent.packets++
        sent.packetBytes += bytes.length
        if (this.silent) return
        sendUnreliable(member, bytes)
        if (this.#random.uint32() / 2 ** 32 >= this.echoes) return
        const late = (maxEchoMs * this.#random.uint32()) / 2 ** 32
        const copy = bytes.slice()
        this.#clock.setTimeout(() => sendUnreliable(member, copy), late)
      },
      sendReliable: (member: string, bytes: Uint8Array) => {
        sent.streamBytes += bytes.length
        return sendReliable(member, bytes)
      },
    })
  }
}

/** The address of a host's gossip. */
export function socketOf({ address }: Located): SocketAddress {
  return { address, port: gossipPort }
}
