/**
 * Cluster state: every member is the only writer of its own records (its endpoints, the overlays it
 * takes part in, the blocks it owns), and every member has the records of all. Membership and
 * transport come from gossip, behind the port gossip/gossip-transport.ts.
 *
 * Invariant: the visible records of a live member become what that member has put, and stay so; a
 * record that its owner removed does not come back. This rests on versions alone
 * (log/origin-log.ts): no clock, no time-out and no order of messages takes part in it.
 *
 * The cluster does not interpret records, call the Docker API or touch the kernel; put, remove and
 * records wait for no other member.
 *
 * Arrows between the folders: log ← wire ← {members, sync} ← this file; gossip ← {members, sync};
 * members ← sync.
 */
import { sleep } from '../base/clock.ts'
import { withDeadline } from '../base/deadline.ts'
import { messageOf } from '../base/errors.ts'
import type { Ip } from '../net/ip.ts'
import type { Packed } from '../base/bytes.ts'
import { type ClusterOptions, clusterDefaults } from './sync/options.ts'
import type { ClusterSettings } from './cluster-settings.ts'
import { type ClusterStatus, statusOf } from './cluster-status.ts'
import { withPlausibleEpoch } from './wire/plausible-epochs.ts'
import { signerOf } from './log/signed-logs.ts'
import { SyncProtocol } from './sync/protocol.ts'
import type { GossipMember } from './gossip/gossip-transport.ts'
import { Joining } from './joining.ts'
import { type Member, MemberTable, type MemberView, isLive } from './members/member-table.ts'
import {
  type AnyRecord,
  type Fields,
  type RecordType,
  RecordTypes,
  encodeRecord,
  recordId,
} from './wire/record-type.ts'
import { OwnEpoch } from './log/own-epoch.ts'
import { GracefulRestarts } from './members/graceful-restarts.ts'
import { type OwnedRecord, hasAllOf, ownedRecords } from './owned-records.ts'
import type { Mark } from './log/origin.ts'
import { Replica } from './log/replica.ts'
import { type Json, type RequestHandler, type RequestOptions, Requests } from './requests.ts'
import { encodeMeta, encodeRoot } from './wire/piggyback.ts'
import { type TransitionListener, Transitions } from './transitions.ts'

export type { Transition } from './transitions.ts'

/** Ticks that our leave has to spread before we stop. */
const leaveTicks = 3
/** A restart is announced by gossip, every 200 ms to three members, who pass it on. */
const restartSpreadMs = 700

export class Cluster {
  readonly #settings: ClusterSettings
  readonly #options: ClusterOptions
  readonly #members: MemberTable
  readonly #replica: Replica
  readonly #transitions: Transitions
  readonly #epoch: OwnEpoch
  readonly #protocol: SyncProtocol
  readonly #joining: Joining
  readonly requests: Requests
  readonly #gracefulRestarts: GracefulRestarts
  readonly #memberListeners = new Set<(members: readonly MemberView[]) => void>()
  #notifying = false
  /** Leaving or closed. */
  #ending = false
  #restarting = false
  #closed = false

  constructor(settings: ClusterSettings) {
    const { name, address, clock, random, logger, gossip } = settings
    const options = (this.#options = { ...clusterDefaults, ...settings.options })
    this.#settings = settings
    this.#members = new MemberTable({ name, address }, clock.now())
    this.#transitions = new Transitions(clock, new RecordTypes(settings.records), options)
    const { signatures = null } = settings
    const mark: Mark = (...change) => this.#transitions.mark(...change)
    const sign = signerOf(signatures)
    this.#replica = new Replica({ name, address, epoch: 0 }, options, mark, sign)
    this.#gracefulRestarts = new GracefulRestarts({
      clock,
      onTimeout: (member) => this.#follow(member),
    })
    const { epochStore: store } = settings
    this.#epoch = new OwnEpoch({ clock, logger, store, replica: this.#replica })
    this.#protocol = new SyncProtocol({
      clock,
      random,
      logger,
      gossip,
      members: this.#members,
      signatures,
      options,
      replica: this.#replica,
      onSynced: () => this.#joining.onSynced(),
      onOwnAhead: (epoch) => void this.#onOwnAhead(epoch),
      onLeave: (oid, epoch) => this.#onLeave(oid, epoch),
      onRequest: (from, frame) => this.requests.onRequest(from, frame),
      onAnswer: (from, frame) => this.requests.onAnswer(from, frame),
      onMessage: (from, channel, body) => this.requests.onMessage(from, channel, body),
    })
    this.#joining = new Joining({
      clock,
      logger,
      gossip,
      initialSync: this.#protocol.initialSync,
      joinBoundMs: options.joinBoundMs,
    })
    this.requests = new Requests({
      clock,
      random,
      maxRequests: options.maxRequests,
      self: name,
      send: (member, frames) => this.#protocol.sender.send(member, frames),
      isLive: (member) => isLive(this.#members.get(member)),
      maxPacketPayload: () => gossip.maxPacketPayload,
    })
  }

  /** Publishes one of our own records. Throws BAD_REQUEST when a field is out of its range. */
  put<R extends AnyRecord>(type: RecordType<R>, record: Fields<R>): void {
    const { id, value } = encodeRecord(type, record)
    this.#protocol.set(id, value)
  }

  /** Withdraws one of our own records; nothing happens when there is none. */
  remove(type: RecordType, key: string): void {
    this.#protocol.set(recordId(type, key), null)
  }

  /** All members' records of a type, ours included; with `hidden` those of dead members too. */
  records<R extends AnyRecord>(
    type: RecordType<R>,
    { hidden = false }: { hidden?: boolean } = {},
  ): Iterable<OwnedRecord<R>> {
    return ownedRecords(this.#replica, this.#protocol.own, type, hidden)
  }

  /**
   * Calls `listener` with the changes of the others' visible records, in batches. The first
   * listener gets all visible records first. Returns how to stop.
   */
  onTransitions(listener: TransitionListener): () => void {
    return this.#transitions.listen(listener, this.#replica.origins)
  }

  /** Ourselves first, then all known members, dead and departed ones too. */
  members(): MemberView[] {
    return this.#members.all()
  }

  /** Addresses that lead back to this cluster as seeds, live members first. */
  seeds(): string[] {
    return this.#members.seeds()
  }

  /** Whether everything that the member with this VTEP has published is here, or it has gone. */
  hasAllOf(address: Ip): boolean {
    return hasAllOf(address, this.#members, this.#replica)
  }

  /** Calls `listener` after members or their states changed, once a turn. Returns how to stop. */
  onMembers(listener: (members: readonly MemberView[]) => void): () => void {
    this.#memberListeners.add(listener)
    return () => this.#memberListeners.delete(listener)
  }

  /**
   * Asks a member. Rejects with MEMBER_AWAY at once when it is not alive, or when it dies
   * meanwhile, with DEADLINE after `timeoutMs`, with the signal's reason, or as the member's
   * handler did.
   */
  request(member: string, channel: string, body: Json, options: RequestOptions): Promise<Json> {
    return this.requests.request(member, channel, body, options)
  }

  /** Answers the requests of a channel. */
  handle(channel: string, handler: RequestHandler): void {
    this.requests.handle(channel, handler)
  }

  /** Begins a new epoch and listens. Fails when the address cannot be had. */
  async start(): Promise<void> {
    await this.#epoch.begin()
    await this.#settings.gossip.start({
      meta: () => this.#meta(),
      onMember: (member) => this.#onMember(member),
      onMessage: (bytes, sender) => this.#protocol.onMessage(bytes, sender),
      ackPayload: () => encodeRoot(this.#replica.digest.root()),
      onAck: (member, payload) => this.#protocol.onAck(member, payload),
    })
    this.#protocol.start()
  }

  /**
   * Publishes what was put so far (the others take it as complete), joins the cluster of any seed,
   * and keeps trying absent seeds. Resolves after the initial sync, at once when there is no seed
   * or all are ourselves. Rejects with MEMBER_AWAY when the sync took too long, but goes on trying.
   */
  async join(seeds: readonly string[]): Promise<void> {
    this.#protocol.open()
    await this.#joining.join(seeds)
  }

  synced(): boolean {
    return this.#protocol.initialSync.done
  }

  /** Leaves: the others drop our records. Takes less than 4 s. */
  async leave(): Promise<void> {
    const { clock, gossip, logger } = this.#settings
    const { tickMs, leaveMs } = this.#options
    this.#ending = true
    this.#protocol.leave()
    if (this.#hasCompany) await sleep(clock, leaveTicks * tickMs)
    await withDeadline(clock, leaveMs, 'leaving', gossip.leave(leaveMs)).catch((error: unknown) =>
      logger.warn(`left without all members knowing: ${messageOf(error)}`),
    )
  }

  /** Announces a graceful restart: our records stay visible for ten minutes. Takes under 1 s. */
  async announceRestart(): Promise<void> {
    this.#ending = this.#restarting = true
    this.#settings.gossip.updateMeta()
    if (this.#hasCompany) await sleep(this.#settings.clock, restartSpreadMs)
  }

  /** Stops. Without `leave` or `announceRestart` before, the others see a crash. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = this.#ending = true
    this.#protocol.close()
    this.requests.close()
    this.#transitions.close()
    this.#gracefulRestarts.close()
    this.#memberListeners.clear()
    await this.#settings.gossip.close()
  }

  status(): ClusterStatus {
    return statusOf({
      replica: this.#replica,
      members: this.#members,
      exchange: this.#protocol,
      requests: this.requests,
    })
  }

  get #hasCompany(): boolean {
    return this.#members.live().length > 0
  }

  #meta(): Uint8Array {
    const { address } = this.#settings
    const meta = { epoch: this.#replica.self.log.epoch, address }
    return encodeMeta(this.#restarting ? { ...meta, restarting: true } : meta)
  }

  #onMember(gossiped: GossipMember): void {
    if (this.#closed) return
    const { clock } = this.#settings
    const before = this.#members.get(gossiped.name)
    const member = this.#members.update(withPlausibleEpoch(gossiped, clock.wall()), clock.now())
    if (member === null) return
    this.#follow(member)
    if (!isLive(member)) this.requests.onAway(member.name)
    this.#protocol.onMember(member, before)
    this.#notifyMembers()
  }

  /** Lets a member's records count or not. */
  #follow(member: Member): void {
    const state = this.#gracefulRestarts.effectiveState(member)
    this.#replica.member({ ...member, state }, this.#settings.clock.now())
  }

  #onLeave(oid: Packed, epoch: number): void {
    const member = this.#members.left(oid, epoch, this.#settings.clock.now())
    if (member === null) return
    this.requests.onAway(member.name)
    this.#notifyMembers()
  }

  async #onOwnAhead(seen: number): Promise<void> {
    if (this.#ending || !(await this.#epoch.raiseAbove(seen)) || this.#ending) return
    this.#settings.gossip.updateMeta()
    this.#protocol.announce()
  }

  #notifyMembers(): void {
    if (this.#notifying) return
    this.#notifying = true
    this.#settings.clock.setTimeout(() => {
      this.#notifying = false
      for (const listener of this.#memberListeners) listener(this.members())
    }, 0)
  }
}
