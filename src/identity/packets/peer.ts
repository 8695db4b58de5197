import type { KeyObject } from 'node:crypto'
import type { Random } from '../../base/random.ts'
import type { Certificate } from '../certificates/certificate.ts'
import type { Endpoint } from '../streams/transport.ts'
import { ReplayWindow } from './replay-window.ts'
import { decodeEndpoint, sessionBytes } from './sealed-packet.ts'

/** A challenge is repeated after the first, and another is drawn after the second. */
const minChallengeMs = 200
const maxChallengeMs = 5000
/**
 * Challenges returned to one peer, with a millisecond of work for its certificate. Who repeats one
 * that was recorded gets no more than this reflected.
 */
const minReplyMs = 20
/**
 * What waits for a peer's session: some pushes and a probe. Older ones nobody waits for any more.
 */
const maxHeldPackets = 8
const maxHeldMs = 2000
/** Peers that are remembered; the longest known is met again. A cluster of 1,000 has fewer. */
const maxPeers = 4096

/** Who a peer is, by its certificate, and the secret that this member shares with it. */
export interface PeerIdentity {
  readonly certificate: Certificate
  readonly secret: Uint8Array
}

interface HeldPacket {
  readonly plain: Uint8Array
  readonly to: Endpoint
  readonly at: number
}

/** What is known of another member's session, and what waits for it. */
export class Peer {
  /** Where it is reached; with its name once it has shown who it is. */
  endpoint: Endpoint
  /** The endpoint as it stands in packets. */
  readonly bytes: Uint8Array
  /** Its session and who it is, once it has returned a challenge. */
  session: Uint8Array | null = null
  identity: PeerIdentity | null = null
  window = new ReplayWindow(0)
  /** Keys of this session by epoch, and what the present one seals with. */
  readonly opening = new Map<number, KeyObject>()
  sealing: { readonly epoch: number; readonly key: KeyObject; readonly hint: Uint8Array } | null =
    null
  /** That the peer is to return. */
  challenge: Uint8Array | null = null
  /** What came before the answer that confirms its session, overtaking it. */
  readonly early: { readonly packet: Uint8Array; readonly receivedAt: number }[] = []
  readonly #held: HeldPacket[] = []
  #drawnAt = 0
  #askedAt = Number.NEGATIVE_INFINITY
  #repliedAt = Number.NEGATIVE_INFINITY

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.endpoint = decodeEndpoint(bytes)
  }

  /** The challenge that the peer is to return: the same until it does, for a while. */
  draw(now: number, random: Random): Uint8Array {
    if (this.challenge === null || now - this.#drawnAt > maxChallengeMs) {
      this.challenge = random.bytes(sessionBytes)
      this.#drawnAt = now
    }
    return this.challenge
  }

  /** Whether it is time to ask for its session, which is noted. */
  mayAsk(now: number): boolean {
    const isDue = now - this.#askedAt >= minChallengeMs
    if (isDue) this.#askedAt = now
    return isDue
  }

  /** Whether a challenge of its is returned now, which is noted. */
  mayReply(now: number): boolean {
    const isDue = now - this.#repliedAt >= minReplyMs
    if (isDue) this.#repliedAt = now
    return isDue
  }

  /** Keeps a packet of an unconfirmed session. */
  keepEarly(packet: Uint8Array, receivedAt: number): void {
    if (this.early.length < maxHeldPackets) this.early.push({ packet, receivedAt })
  }

  /** Keeps what is to be sent until the session is known. */
  hold(held: HeldPacket): void {
    this.#held.push(held)
    if (this.#held.length > maxHeldPackets) this.#held.shift()
  }

  /** What was held, less what is too old. */
  release(now: number): HeldPacket[] {
    return this.#held.splice(0).filter(({ at }) => now - at <= maxHeldMs)
  }

  forgetKeys(): void {
    this.opening.clear()
    this.sealing = null
  }
}

/** The peers by their endpoints as they stand in packets. */
export class Peers extends Map<string, Peer> {
  find(bytes: Uint8Array): Peer | undefined {
    return this.get(textOf(bytes))
  }

  at(bytes: Uint8Array): Peer {
    const known = this.find(bytes)
    if (known !== undefined) return known
    const [longest] = this.keys()
    if (this.size >= maxPeers) this.delete(longest!)
    const peer = new Peer(Uint8Array.from(bytes))
    this.set(textOf(bytes), peer)
    return peer
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
