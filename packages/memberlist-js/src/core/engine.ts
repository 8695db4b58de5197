/**
 * The protocol of one member, put together. Each part knows only the few functions that it is
 * handed here; this file has no rules of its own.
 */
import type { Clock } from '../ports/clock.ts'
import type { Config } from '../config.ts'
import type { Delegate } from '../delegate.ts'
import type { SocketAddress } from '../socket-address.ts'
import { MemberlistError } from '../errors.ts'
import type { MemberlistEvents } from '../events.ts'
import type { Keyring } from '../keyring.ts'
import { MAX_META_BYTES } from '../limits.ts'
import { isPresent, type Member } from '../member.ts'
import type { Random } from '../ports/random.ts'
import { toVersions } from '../rules/compatibility.ts'
import type { Transport } from '../transport/transport.ts'
import type { Ping } from '../wire/messages.ts'
import type { PushPull } from '../wire/stream-messages.ts'
import { ReplayFilter } from '../wire/layers/replay-filter.ts'
import { Awareness } from './probing/awareness.ts'
import { Counters } from './counters.ts'
import { StreamClient, type Bounds } from './messaging/stream-client.ts'
import { Gossiper } from './membership/gossiper.ts'
import { Inbox } from './inbox.ts'
import { FailedMembers } from './joining/failed-members.ts'
import { Joiner } from './joining/joiner.ts'
import { Membership, type MembershipObserver } from './membership/membership.ts'
import { Messenger } from './messaging/messenger.ts'
import { Outbox, USER_TYPE_BYTES } from './messaging/outbox.ts'
import { PendingPings } from './probing/pending-pings.ts'
import { pingFor } from './probing/probe.ts'
import { Prober } from './probing/prober.ts'
import { PushPuller } from './joining/push-puller.ts'
import { Reprober } from './joining/reprober.ts'
import { Relay } from './probing/relay.ts'
import { Roster } from './membership/roster.ts'
import { localState, mergeState } from './membership/state-sync.ts'
import { StreamServer } from './stream-server.ts'
import { UserPings } from './probing/user-pings.ts'

export interface EngineParts {
  readonly name: string
  readonly transport: Transport
  readonly config: Config
  readonly keyring: Keyring | undefined
  readonly label: Uint8Array
  readonly delegateVersions: readonly [number, number, number]
  readonly delegate: Delegate
  readonly clock: Clock
  readonly random: Random
  readonly emit: <K extends keyof MemberlistEvents>(event: K, ...args: MemberlistEvents[K]) => void
}

export class Engine {
  readonly counters = new Counters()
  readonly roster: Roster
  readonly awareness: Awareness
  readonly membership: Membership
  readonly messenger: Messenger
  readonly exchange: StreamClient
  readonly joiner: Joiner
  readonly pushPuller: PushPuller
  readonly #reprober: Reprober
  readonly outbox: Outbox
  readonly userPings: UserPings
  readonly #parts: EngineParts
  readonly #pings: PendingPings
  readonly #relay: Relay
  readonly #server: StreamServer
  readonly #schedule: readonly { start(): void; stop(): void }[]
  readonly #gossiper: Gossiper

  constructor(parts: EngineParts) {
    this.#parts = parts
    const { config, random, delegate, transport } = parts
    const { counters } = this
    const count = (name: string) => counters.count(name)
    const self = () => this.membership.self
    const onUserMessage = (payload: Uint8Array, from: SocketAddress) =>
      this.#onUserMessage(payload, from)

    const roster = (this.roster = new Roster(random))
    this.awareness = new Awareness(config.awarenessMaxMultiplier, (score) =>
      parts.emit('health', score),
    )
    const outbox = (this.outbox = new Outbox(config, delegate, () => roster.size))
    const pings = (this.#pings = new PendingPings(random))
    const replays = new ReplayFilter()
    const messenger = (this.messenger = new Messenger({
      ...parts,
      counters,
      replays,
      broadcasts: (limit, most) => outbox.take(limit, most),
    }))
    const membership = (this.membership = new Membership({
      ...parts,
      versions: toVersions(parts.delegateVersions),
      roster,
      broadcasts: outbox.members,
      counters,
      observer: this.#observer(),
    }))
    const exchange = (this.exchange = new StreamClient({ ...parts, messenger, replays }))
    const failed = new FailedMembers(parts.clock, config.reconnectTimeoutMs)
    const common = { ...parts, self, roster, failed, messenger, membership, pings, count }

    this.joiner = new Joiner({ ...common, ...this.#joinerParts() })
    this.#gossiper = new Gossiper(common)
    const prober = new Prober({ ...common, ...this.#probeParts() })
    this.pushPuller = new PushPuller({ ...common, contact: (to) => this.#contact(to, false) })
    this.#reprober = new Reprober(common)
    this.#schedule = [prober, this.pushPuller, this.joiner, this.#reprober]

    this.#relay = new Relay(common)
    this.userPings = new UserPings(common)
    const inbox = new Inbox({
      ...common,
      relay: this.#relay,
      reprober: this.#reprober,
      onUnknownMember: (at) => this.joiner.unknownMemberAt(at),
      onUserMessage,
    })
    this.#server = new StreamServer({
      ...common,
      exchange,
      localState: (join) => this.#localState(join),
      merge: (remote, from) => void this.#merge(remote, from),
      onUserMessage,
    })
    transport.onPacket((packet, from, receivedAt) => inbox.receive(packet, from, receivedAt))
    transport.onStream((stream, from) => void this.#server.serve(stream, from))
  }

  /** The longest user message in a packet of its own. */
  get maxPacketPayload(): number {
    return this.messenger.budget - USER_TYPE_BYTES
  }

  /** The longest user message that can be piggybacked. */
  get maxBroadcastPayload(): number {
    return this.messenger.broadcastBudget - USER_TYPE_BYTES
  }

  start(): void {
    this.membership.enter(this.#parts.transport.advertise, this.#meta())
    for (const part of [...this.#schedule, this.#gossiper]) part.start()
  }

  /** Only gossip goes on, to spread the goodbye. */
  async leave(timeoutMs: number): Promise<void> {
    const { clock } = this.#parts
    for (const part of this.#schedule) part.stop()
    await new Promise<void>((resolve) => {
      const timer = clock.setTimeout(resolve, timeoutMs)
      this.#whenSent((onFinished) => this.membership.leave(onFinished)).then(() => {
        clock.clearTimeout(timer)
        resolve()
      }, resolve)
    })
  }

  async close(): Promise<void> {
    for (const part of [...this.#schedule, this.#gossiper]) part.stop()
    const { membership, exchange, userPings } = this
    for (const part of [membership, this.#relay, this.#server, exchange, userPings]) part.close()
    this.#pings.close()
    this.outbox.clear()
    await this.#parts.transport.close()
  }

  async updateMeta(): Promise<void> {
    const meta = this.#meta()
    await this.#whenSent((onFinished) => this.membership.changeMeta(meta, onFinished))
  }

  async broadcast(payload: Uint8Array, key: string | undefined): Promise<void> {
    await this.#whenSent((onFinished) => this.outbox.addUser(payload, key, onFinished))
  }

  /** A user message over UDP. */
  sendPacket(to: SocketAddress, payload: Uint8Array): void {
    const member = 'versions' in to ? (to as Member) : undefined
    this.messenger.send({ type: 'user', body: payload }, to, member)
  }

  /** Resolves when a broadcast is finished; at once when there is nobody to tell. */
  async #whenSent(start: (onFinished: () => void) => void): Promise<void> {
    await new Promise<void>((resolve) => {
      start(resolve)
      const own = this.#parts.name
      const [other] = this.roster.draw(1, (each) => isPresent(each) && each.name !== own)
      if (other === undefined) resolve()
    })
  }

  async #contact(to: SocketAddress, join: boolean, bounds?: Bounds): Promise<void> {
    const remote = await this.exchange.pushPull(to, this.#localState(join), bounds)
    const refused = this.#merge(remote, to)
    if (refused !== undefined) throw new MemberlistError('refused', `we refuse it: ${refused}`)
  }

  #merge(remote: PushPull, from: SocketAddress): string | undefined {
    const refused = mergeState(this.#syncParts(), remote, from)
    if (refused !== undefined) this.counters.count('push-pull-refused')
    return refused
  }

  #localState(join: boolean): PushPull {
    return localState(this.#syncParts(), join)
  }

  #syncParts() {
    const { delegate, clock } = this.#parts
    return { roster: this.roster, membership: this.membership, delegate, now: () => clock.now() }
  }

  #onUserMessage(payload: Uint8Array, from: SocketAddress): void {
    this.#parts.delegate.onMessage?.(payload, from)
    this.#parts.emit('message', payload, from)
  }

  #joinerParts() {
    const { name, config } = this.#parts
    return {
      contact: (to: SocketAddress, join: boolean, bounds: Bounds) =>
        this.#contact(to, join, bounds),
      sendAlive: (member: Member) =>
        this.messenger.sendExactly([this.membership.ownAlive()], member, member),
      answersAsUs: async (at: SocketAddress) =>
        await this.exchange.ping(at, pingFor(name, 0, this.membership.self), config.probeTimeoutMs),
    }
  }

  #probeParts() {
    const { delegate } = this.#parts
    return {
      awareness: this.awareness,
      helpers: (wanted: number, target: Member) => this.#helpers(wanted, target),
      tcpPing: (target: Member, ping: Ping, timeoutMs: number) =>
        this.exchange.ping(target, ping, timeoutMs),
      onRtt: (target: Member, rttMs: number, payload: Uint8Array) =>
        delegate.onAck?.(target, rttMs, payload),
    }
  }

  #helpers(count: number, target: Member): Member[] {
    const own = this.#parts.name
    return this.roster.draw(
      count,
      ({ name, state }) => state === 'alive' && name !== own && name !== target.name,
    )
  }

  #meta(): Uint8Array {
    const meta = Uint8Array.from(this.#parts.delegate.meta?.() ?? [])
    if (meta.length <= MAX_META_BYTES) return meta
    const message = `meta has at most ${MAX_META_BYTES} bytes, not ${meta.length}`
    throw new MemberlistError('payload-too-large', message)
  }

  /** A member is alive again, or has left. */
  #settled(name: string): void {
    this.joiner.returned(name)
    this.#reprober.settled(name)
  }

  #observer(): MembershipObserver {
    const { emit, delegate } = this.#parts
    return {
      joined: (member) => {
        this.#settled(member.name)
        emit('join', member)
      },
      updated: (member, previous) => emit('update', member, previous),
      suspected: (member) => {
        this.#reprober.suspected(member)
        emit('suspect', member)
      },
      refuted: (member) => {
        this.#settled(member.name)
        emit('refuted', member)
      },
      gone: (member, how) => {
        if (how === 'failed') {
          this.joiner.failed(member)
          this.#reprober.failed(member)
        } else this.#settled(member.name)
        emit('leave', member, how)
      },
      conflicted: (known, claimant) => emit('conflict', known, claimant),
      accused: () => {
        this.awareness.adjust(1)
        this.#reprober.wereAccused()
      },
      accepts: (member) => (delegate.acceptAlive?.(member) ?? true) === true,
    }
  }
}
