/**
 * What the members of the cluster tell each other. Every member is the only writer of its own records
 * (its endpoints, the overlays it takes part in, the blocks it owns); every member has the records of
 * all. Membership and transport come from gossip, behind the port gossip-transport.ts.
 *
 * Invariant: for each member that is alive, what is visible here becomes what its owner has put, and
 * stays so; nothing that its owner removed comes back. It rests on versions alone (origin-log.ts): no
 * clock, no time-out and no order of messages takes part in it.
 *
 * This room may not look into what the records mean, call the Docker API, touch the kernel or wait for
 * another member inside put, remove or records.
 */
import { type Clock, sleep } from '../base/clock.ts'
import { withDeadline } from '../base/deadline.ts'
import { OverlayError, failure, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'
import type { Ip } from '../net/ip.ts'
import type { Packed } from './bytes.ts'
import { type ClusterOptions, clusterDefaults } from './cluster-options.ts'
import { type ClusterStatus, statusOf } from './cluster-status.ts'
import { Exchange } from './exchange.ts'
import type { GossipMember, GossipTransport } from './gossip-transport.ts'
import type { Json } from './json.ts'
import { encodeMeta } from './member-meta.ts'
import { MemberTable, type MemberView } from './member-table.ts'
import { type ClusterRecord, type RecordKind, encodeRecord, recordId } from './records.ts'
import { type EpochStore, OwnEpoch } from './own-epoch.ts'
import { type PlacedRecord, placedRecords } from './placed-records.ts'
import { Replica } from './replica.ts'
import { type RequestHandler, type RequestOptions, Requests } from './requests.ts'
import { encodeRoot } from './root-payload.ts'
import { type TransitionListener, Transitions } from './transitions.ts'

export type { ClusterStatus } from './cluster-status.ts'
export type { MemberView } from './member-table.ts'
export type { PlacedRecord } from './placed-records.ts'
export type { Transition } from './transitions.ts'

/** What a cluster is built from. */
export interface ClusterSettings {
  /** Unique in the cluster. */
  readonly name: string
  /** Our VTEP. */
  readonly address: Ip
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly gossip: GossipTransport
  readonly epochStore: EpochStore
  readonly options?: Partial<ClusterOptions>
}

/** Goodbyes have this many ticks to spread before we stop. */
const goodbyeTicks = 3

export class Cluster {
  readonly #settings: ClusterSettings
  readonly #options: ClusterOptions
  readonly #members: MemberTable
  readonly #replica: Replica
  readonly #transitions: Transitions
  readonly #epoch: OwnEpoch
  readonly #exchange: Exchange
  readonly #requests: Requests
  readonly #memberListeners = new Set<(members: readonly MemberView[]) => void>()
  #telling = false
  #whenSynced: (() => void)[] = []
  /** Leaving or closed. */
  #ending = false
  #closed = false

  constructor(settings: ClusterSettings) {
    const { name, address, clock, random, logger, gossip } = settings
    const options = (this.#options = { ...clusterDefaults, ...settings.options })
    this.#settings = settings
    this.#members = new MemberTable({ name, address }, clock.now())
    this.#transitions = new Transitions(clock, options)
    this.#replica = new Replica({ name, address, epoch: 0 }, options, (origin, id, previous) =>
      this.#transitions.mark(origin, id, previous),
    )
    const members = this.#members
    this.#epoch = new OwnEpoch({
      clock,
      logger,
      store: settings.epochStore,
      replica: this.#replica,
    })
    this.#exchange = new Exchange({
      clock,
      random,
      logger,
      gossip,
      members,
      options,
      replica: this.#replica,
      onSynced: () => this.#synced(),
      onOwnPast: (epoch) => void this.#onOwnPast(epoch),
      onGoodbye: (oid, epoch) => this.#onGoodbye(oid, epoch),
      onRequest: (from, frame) => this.#requests.onRequest(from, frame),
      onAnswer: (from, frame) => this.#requests.onAnswer(from, frame),
    })
    this.#requests = new Requests({
      clock,
      random,
      requestsMost: options.requestsMost,
      self: name,
      send: (member, frames) => this.#exchange.send(member, frames),
      isLive: (member) => members.live().includes(member),
      maxPacketPayload: () => gossip.maxPacketPayload,
    })
  }

  /** Publishes one of our own records. Throws BAD_REQUEST when a field is out of its range. */
  put(record: ClusterRecord): void {
    const { id, value } = encodeRecord(record)
    this.#exchange.set(id, value)
  }

  /** Withdraws one of our own records; nothing happens when there is none. */
  remove(kind: RecordKind, key: string): void {
    this.#exchange.set(recordId(kind, key), null)
  }

  /** Everybody's records of a kind, ours too; with `hidden` those of dead members as well. */
  records<K extends RecordKind>(
    kind: K,
    { hidden = false }: { hidden?: boolean } = {},
  ): Iterable<PlacedRecord<K>> {
    return placedRecords(this.#replica, this.#exchange.own, kind, hidden)
  }

  /**
   * Calls `listener` with what changes in the others' visible records, in batches. The first listener
   * is told all that is visible. Returns how to stop.
   */
  onTransitions(listener: TransitionListener): () => void {
    return this.#transitions.listen(listener, this.#replica.origins)
  }

  /** Ourselves first, then everybody we know of, the dead and departed too. */
  members(): MemberView[] {
    return this.#members.all()
  }

  /** Calls `listener` after members or their states changed, once a turn. Returns how to stop. */
  onMembers(listener: (members: readonly MemberView[]) => void): () => void {
    this.#memberListeners.add(listener)
    return () => this.#memberListeners.delete(listener)
  }

  /**
   * Asks a member. Rejects with MEMBER_AWAY at once when it is not alive, or when it dies meanwhile,
   * with DEADLINE after `timeoutMs`, with the signal's reason, or as the member's handler did.
   */
  request(member: string, channel: string, body: Json, options: RequestOptions): Promise<Json> {
    return this.#requests.request(member, channel, body, options)
  }

  /** Answers the requests of a channel. */
  handle(channel: string, handler: RequestHandler): void {
    this.#requests.handle(channel, handler)
  }

  /** Begins a new epoch and listens. Fails when the address cannot be had. */
  async start(): Promise<void> {
    await this.#epoch.begin()
    await this.#settings.gossip.start({
      meta: () => this.#meta(),
      onMember: (member) => this.#onMember(member),
      onMessage: (bytes) => this.#exchange.onMessage(bytes),
      ackPayload: () => encodeRoot(this.#replica.digest.root()),
      onAck: (member, payload) => this.#exchange.onAck(member, payload),
    })
    this.#exchange.start()
  }

  /**
   * Publishes what was put so far, joins the cluster that any of the seeds belongs to, and keeps trying
   * those that are absent. Nothing is published before: the others take what we publish for all we have.
   * Resolves after the first exchange of state, at once when there is no seed but ourselves; rejects
   * with MEMBER_AWAY when that took too long, but goes on trying.
   */
  async join(seeds: readonly string[]): Promise<void> {
    const { clock } = this.#settings
    this.#exchange.open()
    const synced = new Promise<void>((resolve) => {
      if (this.synced()) resolve()
      else this.#whenSynced.push(resolve)
    })
    const contacting = this.#contact(seeds)
    const bound = this.#options.joinBoundMs
    try {
      await withDeadline(clock, bound, 'joining', Promise.all([synced, contacting]))
    } catch (error) {
      const late = error instanceof OverlayError && error.code === 'DEADLINE'
      const why = late ? `no exchange of state within ${bound} ms; still trying` : messageOf(error)
      throw failure('MEMBER_AWAY', `joining ${seeds.join(', ')}: ${why}`, error)
    }
  }

  /** Whether an exchange of state was completed, or there was nobody to exchange with. */
  synced(): boolean {
    return this.#exchange.firstSync.done
  }

  /** Tells the others that we go, so that they forget our records. Takes less than 4 s. */
  async leave(): Promise<void> {
    const { clock, gossip, logger } = this.#settings
    const { tickMs, eagerDelayMs, leaveMs } = this.#options
    this.#ending = true
    this.#exchange.goodbye()
    await sleep(clock, eagerDelayMs + goodbyeTicks * tickMs)
    await withDeadline(clock, leaveMs, 'leaving', gossip.leave(leaveMs)).catch((error: unknown) =>
      logger.warn(`left without all members knowing: ${messageOf(error)}`),
    )
  }

  /** Stops. Without `leave` before, the others see a crash. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = this.#ending = true
    this.#exchange.close()
    this.#requests.close()
    this.#transitions.close()
    this.#memberListeners.clear()
    await this.#settings.gossip.close()
  }

  /** Figures for `/status`, plain JSON. */
  status(): ClusterStatus {
    return statusOf({
      replica: this.#replica,
      members: this.#members,
      exchange: this.#exchange,
      requests: this.#requests,
    })
  }

  #meta(): Uint8Array {
    const { address } = this.#settings
    return encodeMeta({ epoch: this.#replica.self.log.epoch, address })
  }

  #onMember(gossiped: GossipMember): void {
    if (this.#closed) return
    const now = this.#settings.clock.now()
    const before = this.#members.get(gossiped.name)
    const member = this.#members.update(gossiped, now)
    if (member === null) return
    this.#replica.member(member, now)
    const live = member.state === 'alive' || member.state === 'suspect'
    if (!live) this.#requests.onAway(member.name)
    else {
      const wasLive = before?.state === 'alive' || before?.state === 'suspect'
      if (!wasLive || before.epoch !== member.epoch) this.#exchange.greet(member.name)
      this.#exchange.firstSync.begin()
    }
    this.#tellMembers()
  }

  #onGoodbye(oid: Packed, epoch: number): void {
    const member = this.#members.goodbye(oid, epoch, this.#settings.clock.now())
    if (member === null) return
    this.#requests.onAway(member.name)
    this.#tellMembers()
  }

  async #contact(seeds: readonly string[]): Promise<void> {
    const { gossip, logger } = this.#settings
    if (seeds.length > 0) {
      const { contacted, errors } = await gossip.join(seeds)
      for (const error of errors) logger.warn(`a seed does not answer, trying on: ${error.message}`)
      if (contacted > 0 || errors.length > 0) return
    }
    this.#exchange.firstSync.alone()
  }

  #synced(): void {
    for (const resolve of this.#whenSynced) resolve()
    this.#whenSynced = []
  }

  async #onOwnPast(seen: number): Promise<void> {
    if (this.#ending || !(await this.#epoch.raiseAbove(seen)) || this.#ending) return
    this.#settings.gossip.updateMeta()
    this.#exchange.announce()
  }

  #tellMembers(): void {
    if (this.#telling) return
    this.#telling = true
    this.#settings.clock.setTimeout(() => {
      this.#telling = false
      for (const listener of this.#memberListeners) listener(this.members())
    }, 0)
  }
}
