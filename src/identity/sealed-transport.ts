/*
 * Who may take part in the cluster. This file is the transport that a member's gossip runs on: the
 * library speaks through it as through plain sockets.
 *
 * Its invariant: nothing that a non-member sends reaches the library. Streams are TLS 1.3 with
 * certificates on both sides, packets are sealed (packet-sessions.ts), and who has not shown yet
 * who it is costs a bounded amount of memory and time. `from` has the address and the name of the
 * sender's certificate, so a caller is who the channel says; what is for one member by name goes to
 * no other.
 *
 * It may not know what is in the packets, nor where certificates and keys are kept: both are handed
 * in.
 */
import type { X509Certificate } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import type { Clock } from '../base/clock.ts'
import { OverlayError, failure, isBug, messageOf } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { Ip } from '../net/ip.ts'
import { Admission } from './streams/admission.ts'
import { type Certificate, certificateOf } from './certificates/certificate.ts'
import { MemberSignatures } from './certificates/member-signatures.ts'
import { certificateFault, clockFault } from './certificates/rules.ts'
import { CheckedStream, refused, accepted } from './streams/checked-stream.ts'
import { type PacketMembership, PacketSessions } from './packets/packet-sessions.ts'
import { enrolmentProtocol, maxHandshakeBytes, memberProtocol } from './streams/protocols.ts'
import { type TlsStream, tlsClient, tlsServer } from './streams/tls-stream.ts'
import type {
  Endpoint,
  PacketReceiver,
  Stream,
  StreamReceiver,
  Transport,
} from './streams/transport.ts'

/** How long a host has to show who it is. */
const maxHandshakeMs = 5000
/** An enrolment waits for the voters to agree. */
const maxEnrolmentMs = 10_000
/** Addresses that seeds are known by. */
const maxSeedAddresses = 256

/**
 * A member's standing, which changes while it runs: certificates are renewed, keys rotate, members
 * are evicted.
 */
export interface Membership extends PacketMembership {
  readonly name: string
  readonly context: SecureContext
  readonly authority: X509Certificate
  readonly isEvicted: (identity: string) => boolean
}

interface SealedTransportParts {
  readonly inner: Transport
  readonly clock: Clock
  readonly random: Random
  /** Null while this host is no member: nothing is sent, and nothing that comes is looked at. */
  readonly membership: () => Membership | null
  /**
   * Serves one that asks to be enrolled, or asks for a new certificate. Rejects with what to tell
   * the operator.
   */
  readonly enrol: (stream: TlsStream, from: Endpoint) => Promise<void>
  /** A member says that this host was evicted. */
  readonly evicted: () => void
  /** Reports who was refused and why; told to the operator at a bounded rate. */
  readonly note: (who: string, what: string, text: string) => void
  readonly count: (what: string) => void
}

export class SealedTransport implements Transport {
  readonly advertise: Endpoint
  /** What members sign with, and check of each other. */
  readonly signatures: MemberSignatures
  readonly #parts: SealedTransportParts
  readonly #sessions: PacketSessions
  readonly #admission: Admission
  /**
   * Where a seed answers, any member may: it may be reached by another address than its certificate
   * has.
   */
  readonly #seeds = new Set<string>()
  #deliver: PacketReceiver = () => undefined
  #serve: StreamReceiver | null = null

  constructor(parts: SealedTransportParts) {
    const { inner, clock, random, count } = parts
    this.#parts = parts
    this.advertise = inner.advertise
    this.signatures = new MemberSignatures(parts.membership, () => clock.wall())
    this.#sessions = new PacketSessions({
      clock,
      random,
      self: inner.advertise,
      membership: () => parts.membership()!,
      judge: (certificate, address) => this.#counts(certificate, address),
      send: (packet, to) => inner.send(packet, to),
      deliver: (packet, from, receivedAt) => this.#deliver(packet, from, receivedAt),
      count,
    })
    this.#admission = new Admission(clock, (address) => this.#sessions.knows(address))
  }

  send(packet: Uint8Array, to: Endpoint): void {
    if (this.#parts.membership() !== null) this.#sessions.send(packet, to)
  }

  onPacket(receive: PacketReceiver): void {
    this.#deliver = receive
    this.#parts.inner.onPacket((packet, from, at) => {
      if (this.#parts.membership() !== null) this.#sessions.receive(packet, from, at)
    })
  }

  /** Dials a member. Rejects with the reason when either side refuses the other's certificate. */
  async dial(to: Endpoint, { signal }: { readonly signal: AbortSignal }): Promise<Stream> {
    const membership = this.#parts.membership()
    if (membership === null) throw failure('NOT_ADMITTED', 'this host is no member yet')
    const raw = await this.#parts.inner.dial(to, { signal })
    const giveUp = (): void => raw.destroy(signal.reason as Error)
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      return await this.#check(raw, to, membership)
    } catch (error) {
      throw signal.aborted ? (signal.reason as Error) : error
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  async #check(raw: Stream, to: Endpoint, membership: Membership): Promise<Stream> {
    const { note } = this.#parts
    const { context, name } = membership
    const protocols = [memberProtocol]
    const tls = await tlsClient(raw, { context, protocols, maxBytes: maxHandshakeBytes })
    const { name: wanted, address } = to
    const isSeed = wanted === undefined && this.#seeds.has(address)
    const { peer, fault } = this.#judge(tls, membership, isSeed ? {} : to)
    if (fault !== null) {
      note(peer?.name ?? to.address, 'certificate', fault('this host'))
      await refuse(tls, fault(name), isEvictedPeer(peer, membership))
      throw failure('NOT_ADMITTED', fault('this host'))
    }
    tls.admit()
    await tls.write(accepted)
    return new CheckedStream(tls, `${peer!.name} (${to.address})`, this.#parts.evicted)
  }

  onStream(receive: StreamReceiver): void {
    this.#serve = receive
    this.#parts.inner.onStream((raw, from) => void this.#accept(raw, from))
  }

  async resolve(host: string): Promise<readonly string[]> {
    const addresses = (await this.#parts.inner.resolve?.(host)) ?? [host]
    for (const address of addresses)
      if (this.#seeds.size < maxSeedAddresses) this.#seeds.add(address)
    return addresses
  }

  async close(): Promise<void> {
    await this.#parts.inner.close()
  }

  async #accept(raw: Stream, from: Endpoint): Promise<void> {
    const { clock, count, note } = this.#parts
    const membership = this.#parts.membership()
    if (membership === null) return raw.destroy()
    const leave = this.#admission.enter(from.address)
    if (leave === null) {
      count('stream-throttled')
      return raw.destroy()
    }
    let timer = clock.setTimeout(() => raw.destroy(), maxHandshakeMs)
    try {
      const { context } = membership
      const protocols = [memberProtocol, enrolmentProtocol]
      const tls = await tlsServer(raw, { context, protocols, maxBytes: maxHandshakeBytes })
      if (tls.protocol !== enrolmentProtocol) return await this.#acceptMember(tls, from, membership)
      clock.clearTimeout(timer)
      timer = clock.setTimeout(() => raw.destroy(), maxEnrolmentMs)
      await this.#parts.enrol(tls, from)
    } catch (error) {
      raw.destroy()
      if (isBug(error)) throw error
      count('stream-refused')
      // OpenSSL has a reason where something wrong came; else the connection has only ended.
      const isCut = error instanceof OverlayError && error.code === 'SOCKET'
      if (isCut && !('reason' in Object(error.cause))) return
      note(from.address, 'stream', `${from.address}: ${messageOf(error)}`)
    } finally {
      clock.clearTimeout(timer)
      leave()
    }
  }

  async #acceptMember(tls: TlsStream, from: Endpoint, membership: Membership): Promise<void> {
    const { note, count } = this.#parts
    const { peer, fault } = this.#judge(tls, membership, {})
    if (fault !== null) {
      count('stream-refused')
      note(peer?.name ?? from.address, 'certificate', fault('this host'))
      return await refuse(tls, fault(membership.name), isEvictedPeer(peer, membership))
    }
    tls.admit()
    const { name, address } = peer!
    const stream = new CheckedStream(tls, `${name} (${address})`, this.#parts.evicted)
    await tls.write(accepted).catch(async (error: Error) => {
      await stream.refusal()
      throw error
    })
    this.#serve?.(stream, { address, port: from.port, name })
  }

  /**
   * Whose certificate the other side has shown, and why it does not count, in the words of a host.
   */
  #judge(
    tls: TlsStream,
    membership: Membership,
    at: Partial<Endpoint>,
  ): { peer: Certificate | null; fault: ((here: string) => string) | null } {
    const shown = tls.peer
    const peer = shown && certificateOf(shown)
    if (peer === null)
      return { peer, fault: () => 'a host without a certificate has to join with a token' }
    return { peer, fault: this.#fault(peer, membership, at) }
  }

  /** Why the certificate does not count for that member or a member there; null when it does. */
  #fault(
    peer: Certificate,
    { authority, isEvicted }: Membership,
    { name, address }: Partial<Endpoint>,
  ): ((here: string) => string) | null {
    const { clock, note } = this.#parts
    const check = {
      authority,
      isEvicted,
      now: clock.wall(),
      ...(address !== undefined && { address: ipOf(address) }),
      ...(name !== undefined && { name }),
    }
    if (certificateFault(peer, check) !== null)
      return (here) => certificateFault(peer, { ...check, here })!
    const skew = clockFault(peer, check)
    if (skew !== null) note(peer.name, 'clock', skew)
    this.signatures.met(peer)
    return null
  }

  /** Whether the certificate of a sender of packets counts at that address. */
  #counts(peer: Certificate, address: string): boolean {
    const fault = this.#fault(peer, this.#parts.membership()!, { address })
    if (fault !== null) this.#parts.note(peer.name, 'certificate', fault('this host'))
    return fault === null
  }
}

function ipOf(address: string): Ip {
  return address.replace(/^::ffff:(?=\d+\.)/, '') as Ip
}

function isEvictedPeer(peer: Certificate | null, { isEvicted }: Membership): boolean {
  return peer !== null && isEvicted(peer.identity)
}

async function refuse(tls: TlsStream, reason: string, isEvicted: boolean): Promise<void> {
  await tls.write(refused(reason, isEvicted))
  tls.close()
}
