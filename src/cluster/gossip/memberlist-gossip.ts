/** The gossip port by memberlist-js. The only file of the house that imports it. */
import {
  type ConfigInput,
  type Member,
  Memberlist,
  SocketTransport,
  type Transport,
} from 'memberlist-js'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { type Ip, parseIp } from '../../net/ip.ts'
import { type IsAt, MemberMoves, type NameClash } from './member-moves.ts'
import type { GossipHooks, GossipTransport, JoinOutcome, MemberState } from './gossip-transport.ts'

/**
 * Ours alone: serf uses 2 to 5 and other users of the library 0, so no pool of theirs ever merges
 * with one of ours, whatever its label.
 */
const delegateVersions = [16, 16, 16] as const

type Tuning = Exclude<ConfigInput, string>

/**
 * A dead member is contacted for a month: after a partition the halves may have no other way to
 * find each other, since all seeds may be on one side. Not forever, since it may be gone for good.
 */
const reconnectMs = 30 * 24 * 3_600_000

/** A dead host is noticed after 2 to 4 s instead of 6 to 9; see docs/cluster-state.md. */
export const gossipTuning: Tuning = {
  preset: 'lan',
  probeIntervalMs: 500,
  probeTimeoutMs: 200,
  suspicionMult: 3,
  // A dial across a partition blocks the next attempt for this long.
  tcpTimeoutMs: 2000,
  // Our transfers are packed already.
  compression: 'none',
  // Sealed, a packet has 62 bytes more: 1400 in all, which every path carries.
  packetBytes: 1338,
  reconnectTimeoutMs: reconnectMs,
}

interface MemberlistGossipOptions {
  /** Unique in the cluster. */
  readonly name: string
  readonly clock: Clock
  readonly random: Random
  /** Clusters with different labels do not hear each other. */
  readonly label?: string
  readonly config?: Tuning
  /** Two hosts have one name; `known` is the address of the one that is a member. */
  readonly onNameClash?: NameClash
  /** Whether the member of that name answers there; without it no member is moved. */
  readonly isAt?: IsAt
  /** After how long dead members are evicted, ms; they are contacted for twice as long. */
  readonly forgetAfterMs?: number
  /** Opens the sockets, or a test's. */
  readonly transport: () => Promise<Transport>
}

/** Sockets on this host: `port` 0 takes any. `advertise` is what the others dial. */
export function gossipSockets(options: {
  bindAddress: Ip
  port: number
  advertise: { readonly address: Ip; readonly port?: number }
}): () => Promise<Transport> {
  return () => SocketTransport.bind(options)
}

/** Membership and transport by memberlist-js. Nothing is opened before `start`. */
export function createMemberlistGossip(options: MemberlistGossipOptions): GossipTransport {
  return new MemberlistGossip(options)
}

/** The payload of a packet before the list has started: what the smallest IPv6 path carries. */
const payloadBeforeStart = 1200

class MemberlistGossip implements GossipTransport {
  readonly #options: MemberlistGossipOptions
  readonly #rttMs = new Map<string, number>()
  #list: Memberlist | null = null
  #running = false

  constructor(options: MemberlistGossipOptions) {
    this.#options = options
  }

  get maxPacketPayload(): number {
    return this.#list?.maxPacketPayload ?? payloadBeforeStart
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#list?.counters ?? {}
  }

  rttMs(member: string): number | null {
    return this.#rttMs.get(member) ?? null
  }

  async start(hooks: GossipHooks): Promise<void> {
    const { name, clock, random, label, transport } = this.#options
    const { config = gossipTuning, forgetAfterMs = 0 } = this.#options
    const reconnectTimeoutMs = Math.max(config.reconnectTimeoutMs ?? reconnectMs, 2 * forgetAfterMs)
    const list = new Memberlist({
      name,
      transport: await transport(),
      config: { ...config, reconnectTimeoutMs },
      delegateVersions,
      clock,
      random,
      ...(label === undefined ? {} : { label }),
      delegate: {
        meta: () => hooks.meta(),
        ackPayload: () => hooks.ackPayload(),
        onAck: ({ name }, rttMs, payload) => {
          this.#rttMs.set(name, rttMs)
          hooks.onAck(name, payload)
        },
        onMessage: (bytes, { name: sender }) => hooks.onMessage(bytes, sender),
      },
    })
    const report = (member: Member, state: MemberState = member.state): void => {
      const host = parseIp(member.address)
      if (host === null) return
      hooks.onMember({ name: member.name, host, port: member.port, state, meta: member.meta })
    }
    list.on('join', (member) => report(member))
    list.on('update', (member) => report(member))
    list.on('suspect', (member) => report(member))
    list.on('refuted', (member) => report(member))
    list.on('leave', (member, how) => {
      this.#rttMs.delete(member.name)
      report(member, how === 'left' ? 'left' : 'dead')
    })
    const { onNameClash = () => {}, isAt = async () => false } = this.#options
    const moves = new MemberMoves<Member>({
      clock,
      self: name,
      isAt,
      onNameClash,
      accept: (claimant) => this.#running && list.acceptMove(claimant),
    })
    list.on('conflict', (known, claimant) => moves.check(known, claimant))
    this.#list = list
    list.start()
    this.#running = true
  }

  async join(seeds: readonly string[]): Promise<JoinOutcome> {
    if (!this.#running) return { contacted: 0, own: 0, errors: [new Error('not running')] }
    return await this.#list!.join(seeds)
  }

  updateMeta(): void {
    if (this.#running) this.#list?.updateMeta().catch(() => {})
  }

  refresh(): void {
    if (this.#running) this.#list?.refresh()
  }

  sendUnreliable(member: string, bytes: Uint8Array): void {
    if (this.#running) this.#list?.send(member, bytes).catch(() => {})
  }

  async sendReliable(member: string, bytes: Uint8Array): Promise<void> {
    if (!this.#running) throw new Error('not running')
    await this.#list?.send(member, bytes, { reliable: true })
  }

  async leave(timeoutMs: number): Promise<void> {
    if (!this.#running) return
    this.#running = false
    await this.#list?.leave({ timeoutMs })
  }

  async close(): Promise<void> {
    this.#running = false
    await this.#list?.close()
  }
}
