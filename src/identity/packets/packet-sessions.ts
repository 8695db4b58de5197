/**
 * Packets between members: sealed, opened once, by the member alone that they were sent to
 * (docs/adr/015).
 *
 * **Keys.** What seals data is derived from the secret of two members, the epoch's gossip key and a
 * session of each side, 64 random bits that a member draws at its start. Nonces count up within the
 * session and nothing has to be on the disk: after a restart the counter begins again, under other
 * keys. Two starts of one host in one epoch draw the same session with a probability of n² / 2^65
 * for n starts, 2^-45 for a thousand; SP 800-38D section 8 asks for 2^-32.
 *
 * **Replays.** Within a session, a window (RFC 6479). Across restarts of either side, the sessions.
 * Members learn each other's by control packets: a challenge that the other returns, as OSCORE
 * recovers its window after a reboot (RFC 8613 appendix B.1.2 with RFC 9175), with its certificate
 * and a proof that it has the certificate's key. The gossip key seals them, so that non-members
 * cannot cause the work of checking certificates. What is sent before the answer waits for it: one
 * round trip at the first contact of two members.
 */
import type { KeyObject } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { agreementKey, sharedSecret } from '../certificates/agreement.ts'
import { type Certificate, certificateInDer } from '../certificates/certificate.ts'
import { SourceBudgets } from '../streams/source-budgets.ts'
import type { Endpoint } from '../streams/transport.ts'
import { type Control, decodeControl, encodeControl } from './control.ts'
import { type GossipKeys, keyOfEpoch } from './gossip-keys.ts'
import { controlKey, dataKey, hintOf, proofBytes, proofOf } from './packet-keys.ts'
import { type Peer, type PeerIdentity, Peers } from './peer.ts'
import { ReplayWindow } from './replay-window.ts'
import {
  type PacketHeader,
  encodeEndpoint,
  open,
  readHeader,
  seal,
  sessionBytes,
} from './sealed-packet.ts'

/** A session ends here: what one key seals stays far below what AES-GCM bears. */
const maxSessionPackets = 2 ** 32
/** Packets that no session opens, and control packets: up to 30 µs each; per source. */
const derivations = { perSecond: 200, burst: 400 }

const none = new Uint8Array(sessionBytes)
const noProof = new Uint8Array(proofBytes)

/** What a member seals with. Another object whenever one of them changes. */
export interface PacketMembership {
  readonly keys: GossipKeys
  /** This member's own, and its key. */
  readonly certificate: Certificate
  readonly key: KeyObject
}

interface PacketParts {
  readonly clock: Clock
  readonly random: Random
  /** Where the others reach this member. */
  readonly self: Endpoint
  readonly membership: () => PacketMembership
  /** Whether that certificate counts for a member at that address, now. */
  readonly judge: (certificate: Certificate, address: string) => boolean
  readonly send: (packet: Uint8Array, to: Endpoint) => void
  /**
   * `from` is the sender's endpoint and name, as its certificate vouches, not where the packet
   * seemed to come from.
   */
  readonly deliver: (packet: Uint8Array, from: Endpoint, receivedAt: number) => void
  readonly count: (what: string) => void
}

/**
 * Seals what is sent and opens what comes. Keeps state only for those that have proved to know a
 * gossip key.
 */
export class PacketSessions {
  readonly #parts: PacketParts
  readonly #self: Uint8Array
  readonly #peers = new Peers()
  readonly #unconfirmed: SourceBudgets
  #session: Uint8Array
  #counter = 0
  /** What derived keys were made of: two clusters number their epochs alike. */
  #granted: { readonly membership: PacketMembership; readonly agreement: KeyObject } | null = null

  constructor(parts: PacketParts) {
    this.#parts = parts
    this.#self = encodeEndpoint(parts.self)!
    this.#unconfirmed = new SourceBudgets(parts.clock, derivations)
    this.#session = parts.random.bytes(sessionBytes)
  }

  /** Whether a member at that address has proved lately who it is. */
  knows(address: string): boolean {
    return [...this.#peers.values()].some(
      ({ endpoint, session }) => session !== null && endpoint.address === address,
    )
  }

  /** Sends to the member there; when `to` has a name, to the one of that name alone. */
  send(plain: Uint8Array, to: Endpoint): void {
    const bytes = encodeEndpoint(to)
    if (bytes === null) return this.#parts.count('sealed-no-address')
    this.#refresh()
    const peer = this.#peers.at(bytes)
    if (peer.session !== null) return this.#sealData(peer, plain, to)
    peer.hold({ plain, to, at: this.#parts.clock.now() })
    this.#ask(peer)
  }

  receive(packet: Uint8Array, from: Endpoint, receivedAt: number): void {
    const { count } = this.#parts
    const header = readHeader(packet)
    if (header === null) return count('sealed-malformed')
    const { keys } = this.#refresh()
    const epochKey = keyOfEpoch(keys, header.epoch)
    if (epochKey === undefined) return count('sealed-epoch')
    const known = this.#peers.find(header.sender)
    const isPresent = known?.session != null && isSame(known.session, header.session)
    if (header.kind === 'data' && isPresent && this.#open(known, epochKey, packet, receivedAt))
      return
    if (!this.#unconfirmed.take(from.address)) return count('sealed-throttled')
    if (!isSame(header.hint, hintOf(epochKey, header, this.#self))) return count('sealed-forged')
    if (header.kind === 'control') return this.#control(known, header, epochKey, packet)
    // Also what an honest peer's first packets look like after a restart of one of us.
    count(isPresent ? 'sealed-stale' : 'sealed-unconfirmed')
    const peer = known ?? this.#peers.at(header.sender)
    if (!isPresent) peer.keepEarly(packet, receivedAt)
    this.#ask(peer)
  }

  /** Delivers a packet of the peer's present session; false when it is not sealed in it. */
  #open(peer: Peer, epochKey: Uint8Array, packet: Uint8Array, receivedAt: number): boolean {
    const header = readHeader(packet)!
    let key = peer.opening.get(header.epoch)
    key ??= dataKey(epochKey, peer.identity!.secret, header, this.#session)
    const plain = open(key, packet, header, this.#self)
    if (plain === null) return false
    peer.opening.set(header.epoch, key)
    if (peer.window.take(header.counter)) this.#parts.deliver(plain, peer.endpoint, receivedAt)
    else this.#parts.count('sealed-replayed')
    return true
  }

  #control(
    known: Peer | undefined,
    header: PacketHeader,
    epochKey: Uint8Array,
    packet: Uint8Array,
  ): void {
    const { count } = this.#parts
    const plain = open(controlKey(epochKey, header), packet, header, this.#self)
    if (plain === null) return count('sealed-forged')
    const control = decodeControl(plain)
    if (control === null) return count('sealed-malformed')
    const peer = known ?? this.#peers.at(header.sender)
    const isAnswer = peer.challenge !== null && isSame(control.returned, peer.challenge)
    const asks = !isSame(control.challenge, none)
    const isReplied = asks && peer.mayReply(this.#parts.clock.now())
    if (asks && !isReplied) count('sealed-throttled')
    if (!isAnswer && !isReplied) return
    const identity = this.#identify(peer, control.certificate)
    if (identity === null) return count('sealed-refused')
    if (isAnswer) {
      const challenges = plain.subarray(0, 2 * sessionBytes)
      const proof = proofOf(epochKey, identity.secret, header, this.#self, challenges)
      if (!isSame(control.proof, proof)) return count('sealed-forged')
      this.#confirm(peer, header, identity, epochKey)
    }
    const { session } = peer
    const isPresent = peer.identity === identity && isSame(session!, header.session)
    const challenge = isPresent ? none : this.#draw(peer)
    if (isReplied) this.#sealControl(peer, { returned: control.challenge, challenge }, identity)
    if (!isAnswer) return
    for (const held of peer.release(this.#parts.clock.now()))
      this.#sealData(peer, held.plain, held.to)
  }

  /** Who shows that certificate at the peer's endpoint; null when it counts for nobody there. */
  #identify(peer: Peer, der: Uint8Array): PeerIdentity | null {
    const known = peer.identity
    if (known !== null && isSame(known.certificate.x509.raw, der)) return known
    const certificate = certificateInDer(der)
    if (certificate === null || !this.#parts.judge(certificate, peer.endpoint.address)) return null
    const secret = sharedSecret(this.#granted!.agreement, certificate.x509.publicKey)
    return secret && { certificate, secret }
  }

  /**
   * The peer lives, in this session: it has just returned our challenge. What it sealed before in
   * another is over.
   */
  #confirm(
    peer: Peer,
    { session, counter }: PacketHeader,
    identity: PeerIdentity,
    epochKey: Uint8Array,
  ): void {
    peer.challenge = null
    const isSameIdentity = peer.identity !== null && isSame(peer.identity.secret, identity.secret)
    peer.identity = identity
    peer.endpoint = { ...peer.endpoint, name: identity.certificate.name }
    if (isSameIdentity && peer.session !== null && isSame(peer.session, session)) return
    peer.session = Uint8Array.from(session)
    peer.window = new ReplayWindow(counter)
    peer.forgetKeys()
    for (const { packet, receivedAt } of peer.early.splice(0))
      if (isSame(readHeader(packet)!.session, session))
        this.#open(peer, epochKey, packet, receivedAt)
  }

  /** Begins a session: other members learn of it when they next send or hear. */
  #begin(): void {
    this.#session = this.#parts.random.bytes(sessionBytes)
    this.#counter = 0
    for (const peer of this.#peers.values()) peer.forgetKeys()
  }

  #ask(peer: Peer): void {
    if (peer.mayAsk(this.#parts.clock.now()))
      this.#sealControl(peer, { returned: none, challenge: this.#draw(peer) }, null)
  }

  #draw(peer: Peer): Uint8Array {
    return peer.draw(this.#parts.clock.now(), this.#parts.random)
  }

  #sealData(peer: Peer, plain: Uint8Array, to: Endpoint): void {
    if (to.name !== undefined && to.name !== peer.endpoint.name)
      return this.#parts.count('sealed-other-member')
    const header = this.#header('data')
    const { epoch } = header
    if (peer.sealing?.epoch !== epoch) {
      const epochKey = keyOfEpoch(this.#refresh().keys, epoch)!
      const key = dataKey(epochKey, peer.identity!.secret, header, peer.session!)
      peer.sealing = { epoch, key, hint: hintOf(epochKey, header, peer.bytes) }
    }
    const { key, hint } = peer.sealing
    this.#parts.send(seal(key, { ...header, hint }, peer.bytes, plain), peer.endpoint)
  }

  #sealControl(
    peer: Peer,
    said: Pick<Control, 'returned' | 'challenge'>,
    receiver: PeerIdentity | null,
  ): void {
    const { keys, certificate } = this.#refresh()
    const header = this.#header('control')
    const epochKey = keyOfEpoch(keys, header.epoch)!
    const challenges = Buffer.concat([said.returned, said.challenge])
    const proof =
      receiver === null
        ? noProof
        : proofOf(epochKey, receiver.secret, header, peer.bytes, challenges)
    const plain = encodeControl({ ...said, proof, certificate: certificate.x509.raw })
    const hint = hintOf(epochKey, header, peer.bytes)
    const packet = seal(controlKey(epochKey, header), { ...header, hint }, peer.bytes, plain)
    this.#parts.send(packet, peer.endpoint)
  }

  /** Of the next packet. */
  #header(kind: PacketHeader['kind']): Omit<PacketHeader, 'hint'> {
    if (this.#counter >= maxSessionPackets) this.#begin()
    const [session, sender, counter] = [this.#session, this.#self, this.#counter++]
    return { kind, epoch: this.#refresh().keys.current, session, sender, counter }
  }

  /**
   * What this member is as of now. When that has changed, derived keys go, and peers whose
   * certificate does not count any more; all of them when it is another member itself.
   */
  #refresh(): PacketMembership {
    const membership = this.#parts.membership()
    const before = this.#granted?.membership
    const { keys, certificate, key } = membership
    if (before?.keys === keys && before.certificate === certificate) return membership
    this.#granted = { membership, agreement: agreementKey(key) }
    const isSameMember =
      before === undefined ||
      (before.certificate.name === certificate.name &&
        before.certificate.identity === certificate.identity)
    for (const [name, peer] of this.#peers) {
      const { identity, endpoint } = peer
      peer.forgetKeys()
      const counts = identity === null || this.#parts.judge(identity.certificate, endpoint.address)
      if (!isSameMember || !counts) this.#peers.delete(name)
    }
    if (!isSameMember) this.#begin()
    return membership
  }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
