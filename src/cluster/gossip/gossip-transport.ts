/**
 * The port to membership and message transport: what the cluster room needs of a gossip library,
 * and no more. memberlist-gossip.ts implements it with memberlist-js, tests with a virtual network.
 */
import type { Ip } from '../../net/ip.ts'

/** Dead: it does not answer. Left: it said so itself. */
export type MemberState = 'alive' | 'suspect' | 'dead' | 'left'

/** One member as gossip sees it. */
export interface GossipMember {
  readonly name: string
  /** Where its gossip listens. */
  readonly host: Ip
  readonly port: number
  readonly state: MemberState
  readonly meta: Uint8Array
}

/** What the transport calls. None of these throws or blocks. */
export interface GossipHooks {
  /** Our metadata, at most 512 bytes. */
  meta(): Uint8Array
  /** After a member was learnt of, changed its state, address or metadata. Never for ourselves. */
  onMember(member: GossipMember): void
  /**
   * A message of another member, whose name is given where the transport proves it. The bytes are
   * only valid during the call.
   */
  onMessage(bytes: Uint8Array, sender?: string): void
  /** What our acks of direct probes carry. */
  ackPayload(): Uint8Array
  /** An ack of a probe of ours, with its payload. */
  onAck(member: string, payload: Uint8Array): void
}

/** The result of the first attempt to join. Each seed adds to one of the three at least. */
export interface JoinOutcome {
  /** How many addresses of others answered. */
  readonly contacted: number
  /** How many addresses turned out to be our own. */
  readonly own: number
  readonly errors: readonly Error[]
}

export interface GossipTransport {
  /** The longest message, in bytes, that `sendUnreliable` takes. */
  readonly maxPacketPayload: number
  /** How often what came was dropped, refused or odd since the start, by reason; for `/status`. */
  readonly counters?: Readonly<Record<string, number>>
  /** The round trip of the last direct probe that a member answered, ms; null before the first. */
  rttMs?(member: string): number | null
  /** Listens. May fail: the address is in use, or not ours. */
  start(hooks: GossipHooks): Promise<void>
  /**
   * Exchanges membership with each seed (`host`, `host:port`, `[v6]:port`). Seeds that are absent,
   * and members that die later, are tried again for as long as we run: without that, two halves
   * that were cut apart would stay apart. Rejects only for a seed that is no address.
   */
  join(seeds: readonly string[]): Promise<JoinOutcome>
  /** Spreads what `hooks.meta()` says now. */
  updateMeta(): void
  /** Exchanges membership with some member now, out of turn; at most once a second or so. */
  refresh(): void
  /** A datagram to a member; may be lost. Nothing happens when the member is unknown. */
  sendUnreliable(member: string, bytes: Uint8Array): void
  /** Over a stream; resolves when it was handed over, rejects when it could not be. */
  sendReliable(member: string, bytes: Uint8Array): Promise<void>
  /** Leaves, and waits until the others have had time to learn it. Nothing is sent afterwards. */
  leave(timeoutMs: number): Promise<void>
  /** Stops listening. Idempotent. */
  close(): Promise<void>
}
