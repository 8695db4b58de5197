/**
 * The protocol: takes messages apart, hands their frames to the part that they concern, and keeps the
 * parts informed of one another. Knows nothing of kinds of records.
 */
import type { Clock, Timer } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import { type Random, sample } from '../base/random.ts'
import { CodecError, type Packed } from './bytes.ts'
import type { ClusterOptions } from './cluster-options.ts'
import { FirstSync } from './first-sync.ts'
import { type Frame, decodeMessage } from './frames.ts'
import type { GossipTransport } from './gossip-transport.ts'
import { Greetings } from './greetings.ts'
import { Introductions } from './introductions.ts'
import { Knocks } from './knocks.ts'
import { type Member, type MemberTable, isLive } from './member-table.ts'
import type { Delta } from './origin-log.ts'
import { OwnRecords } from './own-records.ts'
import { Repair } from './repair.ts'
import { headOf } from './origin.ts'
import { Post } from './post.ts'
import type { Replica } from './replica.ts'
import { decodeRoot } from './root-payload.ts'
import { Serve } from './serve.ts'
import { Spread } from './spread.ts'

/** Members that are told of our leaving directly, besides the gossip that tells all. */
const goodbyesMost = 128
/** How often things are looked at that only time brings about. */
const housekeepingMs = 1000

interface ExchangePorts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly options: ClusterOptions
  readonly gossip: GossipTransport
  readonly replica: Replica
  readonly members: MemberTable
  readonly onSynced: () => void
  /** Our own records are known in an epoch at least this high: we must write them in a higher one. */
  readonly onOwnPast: (epoch: number) => void
  readonly onGoodbye: (oid: Packed, epoch: number) => void
  readonly onRequest: (from: string, frame: Extract<Frame, { kind: 'request' }>) => void
  readonly onAnswer: (from: string, frame: Extract<Frame, { kind: 'answer' }>) => void
}

export class Exchange {
  readonly post: Post
  readonly own: OwnRecords
  readonly spread: Spread
  readonly repair: Repair
  readonly serve: Serve
  readonly firstSync: FirstSync
  readonly counters = {
    messages: 0,
    bytes: 0,
    broken: 0,
    foreign: 0,
    deltas: 0,
  }
  readonly #ports: ExchangePorts
  readonly #knocks: Knocks
  readonly #introductions: Introductions
  readonly #greetings: Greetings
  #publishTimer: Timer | null = null
  #housekeepingTimer: Timer | null = null
  #opened = false
  #announced = false
  #closed = false

  constructor(ports: ExchangePorts) {
    this.#ports = ports
    const { clock, random, options, replica, members, gossip } = ports
    const post = (this.post = new Post(gossip, replica))
    const shared = { clock, random, options, replica, members, post }
    this.own = new OwnRecords(replica, options, clock.now())
    this.spread = new Spread(shared)
    this.serve = new Serve(shared)
    this.repair = new Repair({ ...shared, onOwnPast: (head) => ports.onOwnPast(head.epoch) })
    const knocks = (this.#knocks = new Knocks(shared))
    const greetings = (this.#greetings = new Greetings({
      ...shared,
      isOpen: () => this.#opened,
      announce: () => {
        if (!this.#announced) this.announce()
      },
    }))
    this.#introductions = new Introductions({
      ...shared,
      knocks,
      greetings,
      announceSelf: () => {
        // Who leaves would call itself back to life.
        if (!this.#opened) return
        gossip.updateMeta()
        this.spread.ownHead()
      },
    })
    this.firstSync = new FirstSync({
      ...shared,
      compareWith: (member) => this.repair.compareWith(member),
      onDone: ports.onSynced,
    })
  }

  start(): void {
    this.repair.start()
    this.#knocks.start()
    this.#armHousekeeping()
  }

  /** Tells the others that this epoch is over. Nothing is published afterwards. */
  goodbye(): void {
    const { replica, random, members } = this.#ports
    const { oid, log } = replica.self
    this.#opened = false
    this.repair.close()
    this.firstSync.close()
    this.spread.bye(oid, log.epoch)
    for (const member of sample(random, members.live(), goodbyesMost)) {
      this.post.send(member, [{ kind: 'bye', oid, epoch: log.epoch }])
    }
  }

  close(): void {
    this.#closed = true
    const { repair, firstSync, spread, serve } = this
    const talk = [this.#knocks, this.#introductions, this.#greetings]
    for (const part of [repair, firstSync, spread, serve, ...talk]) part.close()
    for (const timer of [this.#publishTimer, this.#housekeepingTimer]) {
      if (timer !== null) this.#ports.clock.clearTimeout(timer)
    }
  }

  /** Sets one of our records, or with null deletes it. */
  set(id: Packed, value: Packed | null): void {
    if (this.own.set(id, value) && this.#opened) this.#armPublish(this.#ports.options.eagerDelayMs)
  }

  /** Publishes what was set so far, and from here on what is set. */
  open(): void {
    if (this.#opened) return
    this.#opened = true
    this.own.publish(this.#ports.clock.now(), false)
    this.#ports.replica.open()
    for (const member of this.#ports.members.live()) this.#greetings.add(member)
    this.announce()
  }

  /** Tells everybody how far we are and, when that is not much, all that we have. */
  announce(): void {
    const { replica, members, options } = this.#ports
    if (!this.#opened || members.live().length === 0) return
    const { log, oid } = replica.self
    this.#announced = true
    this.spread.ownHead()
    if (log.size <= options.packetRecords) {
      this.spread.entries(oid, log.epoch, log.between(0, log.head))
    }
    this.spread.flush()
  }

  /** A member is new, or its state or epoch changed. */
  onMember(member: Member, before: Member | undefined): void {
    const { name, state, epoch } = member
    if (state === 'dead' || state === 'suspect') this.#knocks.at(name)
    if (!isLive(member)) return this.#introductions.check()
    const sameRun = before?.epoch === epoch
    if (!sameRun || !isLive(before)) this.#greetings.add(name, sameRun && before.state === 'dead')
    this.firstSync.begin()
  }

  /** The payload of a member's ack. */
  onAck(member: string, payload: Uint8Array): void {
    const root = decodeRoot(payload)
    if (root !== null && this.#ports.members.get(member) !== undefined)
      this.repair.onRoot(member, root)
  }

  onMessage(bytes: Uint8Array): void {
    if (this.#closed) return
    this.counters.messages++
    this.counters.bytes += bytes.length
    try {
      const message = decodeMessage(bytes)
      if (message === null) this.counters.foreign++
      else {
        this.#introductions.heardFrom(message.sender)
        for (const frame of message.frames) this.#onFrame(message.sender, frame)
      }
    } catch (error) {
      if (!(error instanceof CodecError)) throw error
      this.counters.broken++
      this.#ports.logger.debug('message dropped', { why: error.message, bytes: bytes.length })
    }
  }

  #onFrame(sender: Packed, frame: Frame): void {
    if (frame.kind === 'delta') return this.#onDelta(sender, frame.delta)
    if (frame.kind === 'bye') return this.#onBye(frame.oid, frame.epoch)
    const { members, replica } = this.#ports
    const from = members.nameOf(sender)
    if (from !== undefined && sender !== replica.self.oid) this.#onTalk(from, frame)
  }

  /** Frames that want an answer, for which one must know whom to answer. */
  #onTalk(from: string, frame: Exclude<Frame, { kind: 'delta' | 'bye' }>): void {
    switch (frame.kind) {
      case 'digest':
        return this.repair.onDigest(from, frame.buckets)
      case 'heads':
        // Until the first sync is done, what it brings is not to be asked for one by one.
        if (!frame.answer && !this.firstSync.done) return
        return this.firstSync.onHeads(from, this.repair.onHeads(from, frame))
      case 'want':
        return this.serve.answer(from, frame.wants)
      case 'transfer':
        this.repair.onTransfer(from, frame.state)
        return this.firstSync.onTransfer(from, frame.state)
      case 'who':
        return this.#introductions.onWho(from, frame)
      case 'request':
        return this.#ports.onRequest(from, frame)
      case 'answer':
        return this.#ports.onAnswer(from, frame)
    }
  }

  #onDelta(sender: Packed, delta: Delta): void {
    const { replica, clock, members, onOwnPast } = this.#ports
    this.counters.deltas++
    const reception = replica.apply(delta, clock.now())
    const from = members.nameOf(sender)
    if (reception.kind === 'applied') {
      if (!delta.repair) this.spread.entries(delta.oid, delta.epoch, reception.news)
      this.repair.onApplied(delta.oid, delta.repair)
      this.firstSync.onApplied(delta.oid)
      this.#introductions.check()
    } else if (reception.kind === 'self') {
      const { epoch, head } = replica.self.log
      if (delta.epoch > epoch || (delta.epoch === epoch && delta.head > head))
        onOwnPast(delta.epoch)
    } else if (from !== undefined && reception.kind === 'stale') {
      const heads = [headOf(reception.origin.log)]
      this.post.send(from, [{ kind: 'heads', answer: false, buckets: [], heads }])
    } else if (from !== undefined && reception.kind === 'over' && reception.left) {
      this.post.send(from, [{ kind: 'bye', oid: delta.oid, epoch: reception.epoch }])
    }
  }

  #onBye(oid: Packed, epoch: number): void {
    const { replica, clock, onOwnPast, onGoodbye } = this.#ports
    if (oid === replica.self.oid) {
      if (epoch >= replica.self.log.epoch) onOwnPast(epoch)
    } else if (replica.bye(oid, epoch, clock.now())) {
      this.spread.bye(oid, epoch)
      onGoodbye(oid, epoch)
    }
  }

  #armPublish(ms: number): void {
    this.#publishTimer ??= this.#ports.clock.setTimeout(() => this.#publish(), ms)
  }

  #publish(): void {
    this.#publishTimer = null
    if (!this.#opened) return
    const { clock, members, replica, options } = this.#ports
    const entries = this.own.publish(clock.now(), members.live().length > 0)
    this.spread.entries(replica.self.oid, replica.self.log.epoch, entries)
    this.spread.flush()
    if (this.own.waiting === 0) return
    this.#armPublish(Math.max(options.eagerDelayMs, this.own.delayMs(clock.now())))
  }

  #armHousekeeping(): void {
    const { clock, replica, members } = this.#ports
    this.#housekeepingTimer = clock.setTimeout(() => {
      replica.expire(clock.now(), members.size)
      this.#introductions.remind()
      this.#armHousekeeping()
    }, housekeepingMs)
  }
}
