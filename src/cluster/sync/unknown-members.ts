/**
 * Sees to it that members know of one another. Gossip of membership is not repaired like ours: now
 * and then somebody misses that a member joined or came back, and learns it only when whole views
 * are exchanged, half a minute later. Until then it has that member's records and may not show
 * them. So who has records of a stranger, or new ones of the dead, asks after their owner, by way
 * of others, and the owner announces itself once more.
 */
import type { Timer } from '../../base/clock.ts'
import { sample } from '../../base/random.ts'
import type { Packed } from '../../base/bytes.ts'
import type { Frame } from '../wire/frames.ts'
import type { JoinSync } from './join-sync.ts'
import type { Reprober } from './reprober.ts'
import { isLive } from '../members/member-table.ts'
import type { SyncContext } from './context.ts'

/** How many members are asked after a stranger at once. */
const askedMembers = 2
/** Strangers remembered because they spoke. */
const maxUnknownOrigins = 4096
/** Strangers asked after in one turn. */
const maxPerTurn = 32
/** We announce ourselves no more often, whoever asks. */
const announceMs = 100
/** Who doubts so many, or a tenth of all, was rather away itself. */
const minUnreachable = 3
/** We tell all that we are back no more often. */
const returnMs = 500
/** Who has not been introduced by then is dead, and was so when its records came. */
const giveUpMs = 30_000

interface UnknownMembersPorts extends SyncContext {
  readonly reprober: Reprober
  readonly joinSync: JoinSync
  /** Spreads once more that we are a member, and how far our log is. */
  readonly announceSelf: () => void
}

export class UnknownMembers {
  readonly #ports: UnknownMembersPorts
  #timer: Timer | null = null
  #announcedMs = -Infinity
  #returnedMs = -Infinity

  constructor(ports: UnknownMembersPorts) {
    this.#ports = ports
  }

  /**
   * A message came from this member: if we take it for dead, or do not know it, we missed
   * something.
   */
  heardFrom(sender: Packed): void {
    const { clock, replica, members, reprober } = this.#ports
    const state = members.stateOf(sender)
    if (state === 'dead' || state === 'suspect') reprober.at(members.nameOf(sender)!)
    if (state !== undefined && state !== 'dead') return
    if (replica.unknownOrigins.has(sender) || replica.unknownOrigins.size >= maxUnknownOrigins)
      return
    replica.unknownOrigins.set(sender, clock.now())
    this.check()
  }

  /** Looks after strangers, if there are any. */
  check(): void {
    const { clock, options, replica } = this.#ports
    if (this.#timer !== null || replica.unknownOrigins.size === 0) return
    this.#timer = clock.setTimeout(() => this.#ask(), options.resolveUnknownMs)
  }

  /** Somebody asks after an origin: us, or one that we may know. */
  onWho(from: string, frame: Extract<Frame, { kind: 'who' }>): void {
    const { replica, members, sender } = this.#ports
    if (frame.oid === replica.self.oid) return this.#answer(from)
    const name = members.nameOf(frame.oid)
    if (name !== undefined && isLive(members.get(name))) sender.send(name, [frame])
  }

  /**
   * Members whose epoch is lower than one of theirs that we know have lost their disk and their
   * time: tells them, so that they begin a higher one.
   */
  remind(): void {
    const { replica, members, sender } = this.#ports
    for (const name of members.live()) {
      const { oid, epoch } = members.get(name)!
      const known = replica.knownEpoch(oid)
      if (known <= epoch) continue
      const summaries = [{ oid, epoch: known, prefix: 0, head: 0 }]
      sender.send(name, [{ kind: 'summaries', answer: false, buckets: [], summaries }])
    }
  }

  close(): void {
    if (this.#timer !== null) this.#ports.clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** We are here. The announcement of that travels with the packet. */
  #answer(from: string): void {
    const { clock, members, reprober, joinSync, announceSelf } = this.#ports
    if (clock.now() - this.#announcedMs >= announceMs) {
      this.#announcedMs = clock.now()
      announceSelf()
    }
    joinSync.tell(from)
    const doubted = members.unreachable().length
    if (
      clock.now() - this.#returnedMs < returnMs ||
      doubted < Math.min(minUnreachable, members.size / 10)
    )
      return
    this.#returnedMs = clock.now()
    reprober.atAll()
    for (const member of members.live()) joinSync.add(member)
  }

  #ask(): void {
    this.#timer = null
    const { clock, random, options, replica, members, sender } = this.#ports
    const now = clock.now()
    const frames: Frame[] = []
    for (const [oid, since] of replica.unknownOrigins) {
      if (now - since > giveUpMs) replica.unknownOrigins.delete(oid)
      else if (now - since >= options.resolveUnknownMs) frames.push({ kind: 'who', oid })
      if (frames.length === maxPerTurn) break
    }
    if (frames.length > 0) {
      for (const member of sample(random, members.live(), askedMembers)) sender.send(member, frames)
    }
    this.check()
  }
}
