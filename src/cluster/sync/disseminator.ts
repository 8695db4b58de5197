/**
 * Dissemination: what is new here is pushed once to a few members after a few milliseconds, then
 * sent again at ticks to a few more, each rumour a number of times that grows with the logarithm of
 * the cluster's size. That reaches nearly all members nearly at once; anti-entropy.ts brings the
 * rest.
 */
import { sample } from '../../base/random.ts'
import { Timeout } from '../../base/timers.ts'
import type { Packed } from '../../base/bytes.ts'
import { maxEntryBytes } from '../wire/delta-codec.ts'
import { RumourQueue, type Rumour } from './rumour-queue.ts'
import type { Entry } from '../log/origin-log.ts'
import { framesOfRumours, messagesOf } from './packing.ts'
import type { SyncContext } from './context.ts'

/** What a frame without records takes in a packet, about. */
const bareItemBytes = 24
/** A delta's own head, shared by the records of one origin in one packet. */
const shareOfHeadBytes = 12

export class Disseminator {
  readonly queue: RumourQueue
  readonly #ports: SyncContext
  #fresh: Rumour[] = []
  readonly #push: Timeout
  readonly #nextTick: Timeout

  constructor(ports: SyncContext) {
    this.#ports = ports
    this.queue = new RumourQueue(ports.options.maxQueueBytes)
    this.#push = new Timeout(ports.clock, () => this.flush())
    this.#nextTick = new Timeout(ports.clock, () => this.#tick())
  }

  /** Records that are new here. */
  entries(oid: Packed, epoch: number, entries: readonly Entry[]): void {
    const own = oid === this.#ports.replica.self.oid
    for (const entry of entries) {
      const bytes = maxEntryBytes(entry) + shareOfHeadBytes
      const { id, version } = entry
      this.#add({ kind: 'entry', oid, epoch, id, version, signature: '', own, bytes })
    }
  }

  /** How far our own log is, even at version 0: that announces a new epoch. */
  ownSummary(): void {
    const { oid, log } = this.#ports.replica.self
    const item = { oid, epoch: log.epoch, id: '', version: log.head, signature: '', own: true }
    this.#add({ ...item, kind: 'head', bytes: bareItemBytes })
  }

  /** That the owner of an epoch has left. */
  leave(oid: Packed, epoch: number, signature: Packed): void {
    const own = oid === this.#ports.replica.self.oid
    const bytes = bareItemBytes + signature.length
    this.#add({ kind: 'leave', oid, epoch, id: '', version: 0, signature, own, bytes })
  }

  /** Pushes what was collected, without the delay. */
  flush(): void {
    this.#push.stop()
    const fresh = this.#fresh
    this.#fresh = []
    const { options, members } = this.#ports
    const live = members.live().length
    this.#send(fresh, Math.max(options.eagerFanout, eagerFanoutFor(live + 1)))
    const times = options.transmitFactor * Math.ceil(Math.log10(live + 2))
    for (const item of fresh) this.queue.add(item, times)
    this.#armTick(true)
  }

  close(): void {
    this.#push.stop()
    this.#nextTick.stop()
    this.#fresh = []
    this.queue.clear()
  }

  #add(item: Rumour): void {
    this.#fresh.push(item)
    this.#push.setIfIdle(this.#ports.options.eagerDelayMs)
  }

  /**
   * The first tick after a quiet time comes at random, so that members do not act together, and
   * early: it reaches those whom the pushes missed.
   */
  #armTick(first: boolean): void {
    if (this.#nextTick.isPending || this.queue.size === 0) return
    const { random, options } = this.#ports
    const wait = first ? (options.tickMs * random.uint32()) / 2 ** 33 : options.tickMs
    this.#nextTick.set(wait)
  }

  #tick(): void {
    const { options, members, sender } = this.#ports
    const fanout = Math.min(options.tickFanout, members.live().length)
    const room = options.tickPackets * sender.maxPacketBytes
    if (fanout > 0) this.#send(this.queue.take(room, fanout), fanout)
    else this.queue.clear()
    this.#armTick(false)
  }

  #send(rumours: readonly Rumour[], fanout: number): void {
    const { replica, random, members, sender } = this.#ports
    const targets = sample(random, members.live(), fanout)
    if (rumours.length === 0 || targets.length === 0) return
    const payload = sender.maxPacketBytes
    const messages = messagesOf(
      replica.self.oid,
      framesOfRumours(rumours, replica, payload),
      payload,
    )
    for (const target of targets)
      for (const message of messages) sender.sendMessage(target, message)
  }
}

/**
 * To how many members a rumour is pushed in a cluster of `members`. Pushing to `ln N + c` at random
 * misses the same number of members at any size (Kermarrec, Massoulié and Ganesh, 2003); a fixed
 * number would miss a share of them.
 */
export function eagerFanoutFor(members: number): number {
  return Math.floor(Math.log(members))
}
