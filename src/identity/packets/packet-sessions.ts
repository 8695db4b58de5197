/**
 * Packets between members: sealed, opened once, and only by the member they were sent to.
 *
 * **Nonces.** A sender's key is derived from the epoch's key, its endpoint, and a session of 64
 * random bits that it draws at its start; its nonces count up within the session. So nothing has to
 * be on the disk: after a restart the counter begins again, under another key. Two starts of one
 * host in one epoch draw the same session with a probability of n² / 2^65 for n starts, 2^-45 for
 * a thousand; SP 800-38D section 8 asks for 2^-32.
 *
 * **Replays.** Within a session, a window (RFC 6479). Across restarts of the receiver, its session:
 * it is new at each start, every packet of data names the one it is for, and no other is accepted.
 * A sender learns the receiver's session, and a receiver which of a sender's is the present one, by
 * a challenge that the other returns, as OSCORE recovers its window after a reboot (RFC 8613
 * appendix B.1.2 with RFC 9175). A control packet holds the challenge that is returned and one of
 * the sender's own, 8 bytes each, zeros for none. What is sent before the answer waits for it: one
 * round trip at the first contact of two members.
 *
 * **Not promised.** Every member has the epoch's key, so a member could seal as any other; what a
 * member alone may say, it signs.
 */
import type { KeyObject } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { type GossipKeys, keyOfEpoch, packetKey } from './gossip-keys.ts'
import { type Peer, newPeer } from './peer.ts'
import { ReplayWindow } from './replay-window.ts'
import {
  type PacketHeader,
  type PacketKind,
  encodeEndpoint,
  open,
  readHeader,
  seal,
  sessionBytes,
} from './sealed-packet.ts'
import { SourceBudgets } from '../streams/source-budgets.ts'
import type { Endpoint } from '../streams/transport.ts'

/**
 * Peers that are remembered; the longest known is met again. More than a cluster of a thousand has.
 */
const maxPeers = 4096
/** A session ends here: what one key seals stays far below what AES-GCM bears. */
const maxSessionPackets = 2 ** 32
/** A challenge is repeated after the first, and another is drawn after the second. */
const minChallengeMs = 200
const maxChallengeMs = 5000
/**
 * What waits for a peer's session: some pushes and a probe. Older ones nobody waits for any more.
 */
const maxHeldPackets = 8
const maxHeldMs = 2000
/** Keys are derived for packets of unknown sessions, some 20 µs each, at this rate per source. */
const derivations = { perSecond: 200, burst: 400 }
/**
 * Challenges returned to one peer. Who repeats one that was recorded gets no more than this
 * reflected.
 */
const minReplyMs = 20

/** Keys kept of one peer: of the epochs that open at one time. */
const maxEpochs = 3

const unconfirmed = 'sealed-unconfirmed'

const none = new Uint8Array(sessionBytes)

interface PacketParts {
  readonly clock: Clock
  readonly random: Random
  /** Where the others reach this member. */
  readonly self: Endpoint
  readonly keys: () => GossipKeys
  readonly send: (packet: Uint8Array, to: Endpoint) => void
  /**
   * `from` is the sender's endpoint, as its key vouches, not where the packet seemed to come from.
   */
  readonly deliver: (packet: Uint8Array, from: Endpoint, receivedAt: number) => void
  readonly count: (what: string) => void
}

/**
 * Seals what is sent and opens what comes. Keeps state only for those that have proved to know a
 * key.
 */
export class PacketSessions {
  readonly #parts: PacketParts
  readonly #self: Uint8Array
  readonly #peers = new Map<string, Peer>()
  readonly #unconfirmed: SourceBudgets
  #session: Uint8Array
  #counter = 0
  #sealing: { readonly epoch: number; readonly key: KeyObject } | null = null
  /** The keys that derived ones were made of: two clusters number their epochs alike. */
  #granted: GossipKeys | null = null

  constructor(parts: PacketParts) {
    this.#parts = parts
    this.#self = encodeEndpoint(parts.self)!
    this.#unconfirmed = new SourceBudgets(parts.clock, derivations)
    this.#session = parts.random.bytes(sessionBytes)
  }

  /** Whether a member at that address has proved to know a key lately. */
  knows(address: string): boolean {
    return [...this.#peers.values()].some(
      ({ endpoint, session }) => session !== null && endpoint.address === address,
    )
  }

  send(plain: Uint8Array, to: Endpoint): void {
    const bytes = encodeEndpoint(to)
    if (bytes === null) return this.#parts.count('sealed-no-address')
    const peer = this.#peerAt(bytes)
    if (peer.session !== null) return this.#seal('data', peer, plain)
    peer.held.push({ plain, at: this.#parts.clock.now() })
    if (peer.held.length > maxHeldPackets) peer.held.shift()
    this.#ask(peer)
  }

  receive(packet: Uint8Array, from: Endpoint, receivedAt: number): void {
    const { count } = this.#parts
    const header = readHeader(packet)
    if (header === null) return count('sealed-malformed')
    const epochKey = keyOfEpoch(this.#keys(), header.epoch)
    if (epochKey === undefined) return count('sealed-epoch')
    const known = this.#peers.get(nameOf(header.sender))
    const isPresent = known?.session != null && isSame(known.session, header.session)
    if (!isPresent && !this.#unconfirmed.take(from.address)) return count('sealed-throttled')
    const key =
      (isPresent ? known.keys.get(header.epoch) : undefined) ??
      packetKey(epochKey, header.session, header.sender)
    const plain = open(key, packet, header, this.#self)
    if (plain === null) return count('sealed-forged')
    const peer = known ?? this.#peerAt(Uint8Array.from(header.sender))
    if (isPresent) remember(peer, header.epoch, key)
    if (header.kind === 'control') return this.#control(peer, header, plain)
    const fault = this.#dataFault(peer, header)
    if (fault === null) return this.#parts.deliver(plain, peer.endpoint, receivedAt)
    count(fault)
    if (fault === unconfirmed && peer.early.length < maxHeldPackets)
      peer.early.push({ header, plain, receivedAt })
    // Each of these is also what an honest peer's first packets look like after a restart of one of
    // us.
    this.#ask(peer)
  }

  #dataFault(peer: Peer, { receiver, session, counter }: PacketHeader): string | null {
    if (!isSame(receiver, this.#session)) return 'sealed-stale'
    if (peer.session === null || !isSame(peer.session, session)) return unconfirmed
    return peer.window.take(counter) ? null : 'sealed-replayed'
  }

  #control(peer: Peer, header: PacketHeader, plain: Uint8Array): void {
    if (plain.length !== 2 * sessionBytes) return this.#parts.count('sealed-malformed')
    const returned = plain.subarray(0, sessionBytes)
    const challenge = plain.subarray(sessionBytes)
    const isConfirmed = peer.challenge !== null && isSame(returned, peer.challenge)
    if (isConfirmed) this.#confirm(peer, header)
    if (!isSame(challenge, none)) this.#reply(peer, header, challenge)
    if (isConfirmed) this.#sendHeld(peer)
  }

  /**
   * The peer lives, in this session: it has just returned our challenge. What it sealed before in
   * another is over. A counter far below what came as the peer's shows that a member has sealed as
   * it; we begin another session of our own then, in which nothing counts that was sealed for us
   * before.
   */
  #confirm(peer: Peer, { session, counter }: PacketHeader): void {
    peer.challenge = null
    const isSameSession = peer.session !== null && isSame(peer.session, session)
    if (isSameSession && !peer.window.isPast(counter)) return
    if (isSameSession) {
      this.#parts.count('sealed-counter-jump')
      this.#begin()
    }
    peer.session = Uint8Array.from(session)
    peer.window = new ReplayWindow(counter)
    peer.keys = new Map()
    for (const { header, plain, receivedAt } of peer.early.splice(0))
      if (isSame(header.session, session) && peer.window.take(header.counter))
        this.#parts.deliver(plain, peer.endpoint, receivedAt)
  }

  /** Begins a session: other members learn of it when they next send. */
  #begin(): void {
    this.#session = this.#parts.random.bytes(sessionBytes)
    this.#counter = 0
    this.#sealing = null
  }

  #reply(peer: Peer, { session }: PacketHeader, challenge: Uint8Array): void {
    const now = this.#parts.clock.now()
    if (now - peer.repliedAt < minReplyMs) return this.#parts.count('sealed-throttled')
    peer.repliedAt = now
    const isPresent = peer.session !== null && isSame(peer.session, session)
    this.#seal('control', peer, Buffer.concat([challenge, isPresent ? none : this.#draw(peer)]))
  }

  #ask(peer: Peer): void {
    const now = this.#parts.clock.now()
    if (now - peer.askedAt < minChallengeMs) return
    peer.askedAt = now
    this.#seal('control', peer, Buffer.concat([none, this.#draw(peer)]))
  }

  /** The challenge that the peer is to return: the same until it does, for a while. */
  #draw(peer: Peer): Uint8Array {
    const now = this.#parts.clock.now()
    if (peer.challenge === null || now - peer.drawnAt > maxChallengeMs) {
      peer.challenge = this.#parts.random.bytes(sessionBytes)
      peer.drawnAt = now
    }
    return peer.challenge
  }

  #sendHeld(peer: Peer): void {
    const since = this.#parts.clock.now() - maxHeldMs
    for (const { plain, at } of peer.held.splice(0))
      if (at >= since) this.#seal('data', peer, plain)
  }

  #seal(kind: PacketKind, peer: Peer, plain: Uint8Array): void {
    const { key, epoch } = this.#sealingKey()
    const header: PacketHeader = {
      kind,
      epoch,
      receiver: peer.session ?? none,
      session: this.#session,
      counter: this.#counter++,
      sender: this.#self,
    }
    this.#parts.send(seal(key, header, peer.bytes, plain), peer.endpoint)
  }

  #sealingKey(): { readonly epoch: number; readonly key: KeyObject } {
    const keys = this.#keys()
    if (this.#counter >= maxSessionPackets) this.#begin()
    if (this.#sealing?.epoch !== keys.current) {
      const key = packetKey(keyOfEpoch(keys, keys.current)!, this.#session, this.#self)
      this.#sealing = { epoch: keys.current, key }
    }
    return this.#sealing
  }

  #keys(): GossipKeys {
    const keys = this.#parts.keys()
    if (keys === this.#granted) return keys
    this.#granted = keys
    this.#sealing = null
    for (const peer of this.#peers.values()) peer.keys.clear()
    return keys
  }

  #peerAt(bytes: Uint8Array): Peer {
    const name = nameOf(bytes)
    const known = this.#peers.get(name)
    if (known !== undefined) return known
    const [longest] = this.#peers.keys()
    if (this.#peers.size >= maxPeers) this.#peers.delete(longest!)
    const peer = newPeer(bytes)
    this.#peers.set(name, peer)
    return peer
  }
}

function remember({ keys }: Peer, epoch: number, key: KeyObject): void {
  if (keys.has(epoch)) return
  if (keys.size >= maxEpochs) keys.clear()
  keys.set(epoch, key)
}

function nameOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
