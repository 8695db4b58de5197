/**
 * The sync protocol: decodes messages, routes their frames to the parts, and connects the parts. It
 * knows no kinds of records.
 */
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { type Random, sample } from '../../base/random.ts'
import { Every, Timeout } from '../../base/timers.ts'
import { CodecError, type Packed } from '../../base/bytes.ts'
import type { ClusterOptions } from './options.ts'
import { InitialSync } from './initial-sync.ts'
import { type Frame, decodeMessage, leaveFrame } from '../wire/frames.ts'
import type { GossipTransport } from '../gossip/gossip-transport.ts'
import { JoinSync } from './join-sync.ts'
import { UnknownOrigins } from './unknown-origins.ts'
import { type Member, type MemberTable, isLive } from '../members/member-table.ts'
import type { Delta } from '../log/origin-log.ts'
import { oidOfName } from '../log/digest.ts'
import { OwnRecords } from '../log/own-records.ts'
import { AntiEntropy } from './anti-entropy.ts'
import { summariesOf } from '../log/origin.ts'
import { Sender } from './sender.ts'
import type { Replica } from '../log/replica.ts'
import type { LogSignatures } from '../log/signed-head.ts'
import { decodeRoot } from '../wire/piggyback.ts'
import { hasPlausibleEpochs } from '../wire/plausible-epochs.ts'
import { SignedLogs } from '../log/signed-logs.ts'
import { SyncServer } from './sync-server.ts'
import { Disseminator } from './disseminator.ts'

/** Members that are told directly that we leave; dissemination tells the others. */
const maxDirectLeaves = 128
/** Between two looks at what is too old. */
const housekeepingMs = 1000

interface SyncProtocolPorts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly options: ClusterOptions
  readonly gossip: GossipTransport
  readonly replica: Replica
  readonly members: MemberTable
  /** Null in a cluster without keys. */
  readonly signatures: LogSignatures | null
  readonly onSynced: () => void
  /** Others know records of ours in this epoch that we lack: ours must become higher. */
  readonly onOwnAhead: (epoch: number) => void
  readonly onLeave: (oid: Packed, epoch: number) => void
  readonly onRequest: (from: string, frame: Extract<Frame, { kind: 'request' }>) => void
  readonly onAnswer: (from: string, frame: Extract<Frame, { kind: 'answer' }>) => void
  readonly onMessage: (from: string, channel: string, body: Packed) => void
}

export class SyncProtocol {
  readonly sender: Sender
  readonly signedLogs: SignedLogs
  readonly own: OwnRecords
  readonly disseminator: Disseminator
  readonly antiEntropy: AntiEntropy
  readonly server: SyncServer
  readonly initialSync: InitialSync
  readonly counters = {
    messages: 0,
    bytes: 0,
    broken: 0,
    foreign: 0,
    forged: 0,
    deltas: 0,
  }
  readonly #ports: SyncProtocolPorts
  readonly #unknownOrigins: UnknownOrigins
  readonly #joinSync: JoinSync
  readonly #nextPublish: Timeout
  readonly #housekeeping: Every
  #opened = false
  #announced = false
  #closed = false

  constructor(ports: SyncProtocolPorts) {
    this.#ports = ports
    const { clock, random, options, replica, members, gossip } = ports
    const sender = (this.sender = new Sender(gossip, replica))
    const signedLogs = (this.signedLogs = new SignedLogs(ports))
    const shared = { clock, random, options, replica, members, sender, signedLogs }
    this.#nextPublish = new Timeout(clock, () => this.#publish())
    this.#housekeeping = new Every({
      clock,
      intervalMs: housekeepingMs,
      run: () => replica.expire(clock.now(), members.size),
    })
    this.own = new OwnRecords(replica, options, clock.now())
    this.disseminator = new Disseminator(shared)
    this.server = new SyncServer(shared)
    this.antiEntropy = new AntiEntropy({
      ...shared,
      onOwnAhead: (head) => ports.onOwnAhead(head.epoch),
    })
    this.#joinSync = new JoinSync({
      ...shared,
      isOpen: () => this.#opened,
      announce: () => {
        if (!this.#announced) this.announce()
      },
    })
    this.#unknownOrigins = new UnknownOrigins({ ...shared, refresh: () => gossip.refresh() })
    this.initialSync = new InitialSync({
      ...shared,
      compareWith: (member) => this.antiEntropy.compareWith(member),
      onDone: ports.onSynced,
    })
  }

  start(): void {
    this.antiEntropy.start()
    this.#housekeeping.start()
  }

  /** Tells the others that we leave. Nothing is published afterwards. */
  leave(): void {
    const { replica, random, members } = this.#ports
    const { oid, log } = replica.self
    this.#opened = false
    this.antiEntropy.close()
    this.initialSync.close()
    const { epoch } = log
    const signature = this.signedLogs.leaving(oid, epoch)
    this.disseminator.leave(oid, epoch, signature)
    for (const member of sample(random, members.live(), maxDirectLeaves))
      this.sender.send(member, [{ kind: 'leave', oid, epoch, signature }])
  }

  close(): void {
    this.#closed = true
    const { antiEntropy, initialSync, disseminator, server } = this
    const parts = [antiEntropy, initialSync, disseminator, server]
    for (const part of [...parts, this.#unknownOrigins, this.#joinSync]) part.close()
    this.#nextPublish.stop()
    this.#housekeeping.stop()
  }

  /** Sets one of our records, or with null deletes it. */
  set(id: Packed, value: Packed | null): void {
    if (this.own.set(id, value) && this.#opened) this.#armPublish(this.#ports.options.eagerDelayMs)
  }

  /** Publishes what was set so far, and from here on every change. */
  open(): void {
    if (this.#opened) return
    this.#opened = true
    this.own.publish(this.#ports.clock.now(), false)
    this.#ports.replica.open()
    for (const member of this.#ports.members.live()) this.#joinSync.add(member)
    this.announce()
  }

  /** Tells all members how far our log is and, when it is short, its records too. */
  announce(): void {
    const { replica, members, options } = this.#ports
    if (!this.#opened || members.live().length === 0) return
    const { log, oid } = replica.self
    this.#announced = true
    this.disseminator.ownSummary()
    if (log.size <= options.maxPacketRecords) {
      this.disseminator.entries(oid, log.epoch, log.between(0, log.head))
    }
    this.disseminator.flush()
  }

  /** A member is new, or its state or epoch changed. */
  onMember(member: Member, before: Member | undefined): void {
    const { name, epoch } = member
    if (!isLive(member)) return this.#unknownOrigins.check()
    const sameRun = before?.epoch === epoch
    if (!sameRun || !isLive(before)) this.#joinSync.add(name, sameRun && before.state === 'dead')
    this.initialSync.begin()
  }

  /** The payload of a member's ack. */
  onAck(member: string, payload: Uint8Array): void {
    const root = decodeRoot(payload)
    if (root !== null && this.#ports.members.get(member) !== undefined)
      this.antiEntropy.onRoot(member, root)
  }

  /** `sender` is who sent it where that is proved; then the message has to say the same. */
  onMessage(bytes: Uint8Array, sender?: string): void {
    if (this.#closed) return
    this.counters.messages++
    this.counters.bytes += bytes.length
    try {
      const message = decodeMessage(bytes)
      if (message === null) this.counters.foreign++
      else if (sender !== undefined && !this.#isOidOf(message.sender, sender))
        this.counters.forged++
      else {
        this.#unknownOrigins.heardFrom(message.sender)
        for (const frame of message.frames) {
          if (hasPlausibleEpochs(frame, this.#ports.clock.wall()))
            this.#onFrame(message.sender, frame)
          else this.counters.broken++
        }
      }
    } catch (error) {
      if (!(error instanceof CodecError)) throw error
      this.counters.broken++
      this.#ports.logger.debug('message dropped', { why: error.message, bytes: bytes.length })
    }
  }

  /** Most senders are members whose oid is known; then nothing has to be hashed. */
  #isOidOf(oid: Packed, name: string): boolean {
    return this.#ports.members.nameOf(oid) === name || oidOfName(name) === oid
  }

  #onFrame(sender: Packed, frame: Frame): void {
    if (frame.kind === 'delta') return this.#onDelta(sender, frame.delta)
    if (frame.kind === 'leave') return this.#onLeave(sender, frame)
    const { members, replica } = this.#ports
    const from = members.nameOf(sender)
    if (from !== undefined && sender !== replica.self.oid) this.#onMemberFrame(from, frame)
  }

  /** Frames that are answered: their sender must be a known member. */
  #onMemberFrame(from: string, frame: Exclude<Frame, { kind: 'delta' | 'leave' }>): void {
    switch (frame.kind) {
      case 'digest':
        return this.antiEntropy.onDigest(from, frame.buckets)
      case 'summaries':
        // The initial sync brings all of it: no need to request it origin by origin.
        if (!frame.answer && !this.initialSync.done) return
        return this.initialSync.onSummaries(from, this.antiEntropy.onSummaries(from, frame))
      case 'deltaRequest':
        return this.server.answer(from, frame.requests)
      case 'transfer':
        this.antiEntropy.onTransfer(from, frame.state)
        return this.initialSync.onTransfer(from, frame.state)
      case 'request':
        return this.#ports.onRequest(from, frame)
      case 'answer':
        return this.#ports.onAnswer(from, frame)
      case 'message':
        return this.#ports.onMessage(from, frame.channel, frame.body)
    }
  }

  #onDelta(sender: Packed, received: Delta): void {
    const { replica, clock, members, onOwnAhead } = this.#ports
    this.counters.deltas++
    const delta = this.signedLogs.admit(received, sender)
    if (delta === null) return
    const result = replica.apply(delta, clock.now())
    const from = members.nameOf(sender)
    if (result.kind === 'applied') {
      if (!delta.repair) this.disseminator.entries(delta.oid, delta.epoch, result.entries)
      this.antiEntropy.onApplied(delta.oid, delta.repair)
      this.initialSync.onApplied(delta.oid)
      this.#unknownOrigins.check()
    } else if (result.kind === 'self') {
      const { epoch, head } = replica.self.log
      if (delta.epoch > epoch || (delta.epoch === epoch && delta.head > head))
        onOwnAhead(delta.epoch)
    } else if (from !== undefined && result.kind === 'stale' && result.origin.log.heard) {
      const summaries = summariesOf(result.origin.log)
      this.sender.send(from, [{ kind: 'summaries', answer: false, buckets: [], summaries }])
    } else if (from !== undefined && result.kind === 'over' && result.tombstone.left) {
      this.sender.send(from, [leaveFrame(delta.oid, result.tombstone)])
    }
  }

  #onLeave(sender: Packed, { oid, epoch, signature }: Extract<Frame, { kind: 'leave' }>): void {
    const { replica, clock, onOwnAhead, onLeave } = this.#ports
    if (oid === replica.self.oid) {
      if (epoch >= replica.self.log.epoch) onOwnAhead(epoch)
    } else if (sender !== oid && !this.signedLogs.hasLeft(oid, epoch, signature, sender)) {
      this.counters.forged++
    } else if (replica.endEpoch(oid, epoch, clock.now(), signature)) {
      this.disseminator.leave(oid, epoch, signature)
      onLeave(oid, epoch)
    }
  }

  #armPublish(ms: number): void {
    this.#nextPublish.setIfIdle(ms)
  }

  #publish(): void {
    if (!this.#opened) return
    const { clock, members, replica, options } = this.#ports
    const entries = this.own.publish(clock.now(), members.live().length > 0)
    this.disseminator.entries(replica.self.oid, replica.self.log.epoch, entries)
    this.disseminator.flush()
    if (this.own.waiting === 0) return
    this.#armPublish(Math.max(options.eagerDelayMs, this.own.delayMs(clock.now())))
  }
}
