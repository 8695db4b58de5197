/** Sends frames as packets or, when they are too long for one, over streams; counts both. */
import { type Frame, encodeFrame, encodeMessage } from '../wire/frames.ts'
import type { GossipTransport } from '../gossip/gossip-transport.ts'
import type { Replica } from '../log/replica.ts'

export class Sender {
  /** Messages and bytes sent so far. */
  readonly counts = { sent: 0, sentBytes: 0 }
  readonly #gossip: GossipTransport
  readonly #replica: Replica

  constructor(gossip: GossipTransport, replica: Replica) {
    this.#gossip = gossip
    this.#replica = replica
  }

  /** The longest message that fits a packet, in bytes. */
  get maxPacketBytes(): number {
    return this.#gossip.maxPacketPayload
  }

  /** Sends frames to a member; they may be lost. */
  send(member: string, frames: readonly Frame[]): void {
    this.sendMessage(member, this.#message(frames))
  }

  /** Sends an encoded message; one that is too long for a packet goes over a stream. */
  sendMessage(member: string, message: Uint8Array): void {
    if (message.length > this.maxPacketBytes) this.sendReliable(member, message).catch(() => {})
    else {
      this.#count(message)
      this.#gossip.sendUnreliable(member, message)
    }
  }

  /** Sends an encoded message over a stream; rejects when that breaks. */
  sendReliable(member: string, message: Uint8Array): Promise<void> {
    this.#count(message)
    return this.#gossip.sendReliable(member, message)
  }

  #message(frames: readonly Frame[]): Uint8Array {
    return encodeMessage(this.#replica.self.oid, frames.map(encodeFrame))
  }

  #count(message: Uint8Array): void {
    this.counts.sent++
    this.counts.sentBytes += message.length
  }
}
