/**
 * Sees to it that members know of one another. Gossip of membership is not repaired like ours: now and
 * then somebody misses that a member joined or came back, and learns it only when whole views are
 * exchanged, half a minute later. Until then it has that member's records and may not show them. So who has records of a
 * stranger, or new ones of the dead, asks after their owner, by way of others, and the owner announces itself once more.
 */
import type { Timer } from '../base/clock.ts'
import { sample } from '../base/random.ts'
import type { Packed } from './bytes.ts'
import type { Frame } from './frames.ts'
import type { Greetings } from './greetings.ts'
import type { Knocks } from './knocks.ts'
import { isLive } from './member-table.ts'
import type { Surroundings } from './surroundings.ts'

/** How many members are asked after a stranger at once. */
const askedAtOnce = 2
/** Strangers remembered because they spoke. */
const rememberedMost = 4096
/** Strangers asked after in one turn. */
const strangersMost = 32
/** We announce ourselves no more often, whoever asks. */
const announceMs = 100
/** Who doubts so many, or a tenth of all, was rather away itself. */
const awayLeast = 3
/** We tell all that we are back no more often. */
const returnMs = 500
/** Who has not been introduced by then is dead, and was so when its records came. */
const hopelessMs = 30_000

interface IntroductionsPorts extends Surroundings {
  readonly knocks: Knocks
  readonly greetings: Greetings
  /** Spreads once more that we are a member, and how far our log is. */
  readonly announceSelf: () => void
}

export class Introductions {
  readonly #ports: IntroductionsPorts
  #timer: Timer | null = null
  #announcedMs = -Infinity
  #returnedMs = -Infinity

  constructor(ports: IntroductionsPorts) {
    this.#ports = ports
  }

  /** A message came from this member: if we take it for dead, or do not know it, we missed something. */
  heardFrom(sender: Packed): void {
    const { clock, replica, members, knocks } = this.#ports
    const state = members.stateOf(sender)
    if (state === 'dead' || state === 'suspect') knocks.at(members.nameOf(sender)!)
    if (state !== undefined && state !== 'dead') return
    if (replica.strangers.has(sender) || replica.strangers.size >= rememberedMost) return
    replica.strangers.set(sender, clock.now())
    this.check()
  }

  /** Looks after strangers, if there are any. */
  check(): void {
    const { clock, options, replica } = this.#ports
    if (this.#timer !== null || replica.strangers.size === 0) return
    this.#timer = clock.setTimeout(() => this.#ask(), options.introduceMs)
  }

  /** Somebody asks after an origin: us, or one that we may know. */
  onWho(from: string, frame: Extract<Frame, { kind: 'who' }>): void {
    const { replica, members, post } = this.#ports
    if (frame.oid === replica.self.oid) return this.#answer(from)
    const name = members.nameOf(frame.oid)
    if (name !== undefined && isLive(members.get(name))) post.send(name, [frame])
  }

  /**
   * Members whose epoch is lower than one of theirs that we know have lost their disk and their time:
   * tells them, so that they begin a higher one.
   */
  remind(): void {
    const { replica, members, post } = this.#ports
    for (const name of members.live()) {
      const { oid, epoch } = members.get(name)!
      const known = replica.knownEpoch(oid)
      if (known <= epoch) continue
      const heads = [{ oid, epoch: known, prefix: 0, head: 0 }]
      post.send(name, [{ kind: 'heads', answer: false, buckets: [], heads }])
    }
  }

  close(): void {
    if (this.#timer !== null) this.#ports.clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** We are here. The announcement of that travels with the packet. */
  #answer(from: string): void {
    const { clock, members, knocks, greetings, announceSelf } = this.#ports
    if (clock.now() - this.#announcedMs >= announceMs) {
      this.#announcedMs = clock.now()
      announceSelf()
    }
    greetings.tell(from)
    const doubted = members.doubted().length
    if (
      clock.now() - this.#returnedMs < returnMs ||
      doubted < Math.min(awayLeast, members.size / 10)
    )
      return
    this.#returnedMs = clock.now()
    knocks.atAll()
    for (const member of members.live()) greetings.add(member)
  }

  #ask(): void {
    this.#timer = null
    const { clock, random, options, replica, members, post } = this.#ports
    const now = clock.now()
    const frames: Frame[] = []
    for (const [oid, since] of replica.strangers) {
      if (now - since > hopelessMs) replica.strangers.delete(oid)
      else if (now - since >= options.introduceMs) frames.push({ kind: 'who', oid })
      if (frames.length === strangersMost) break
    }
    if (frames.length > 0) {
      for (const member of sample(random, members.live(), askedAtOnce)) post.send(member, frames)
    }
    this.check()
  }
}
