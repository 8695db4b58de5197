import type { Clock, Timer } from '../clock.ts'
import type { Config } from '../config.ts'
import { sameEndpoint, type Endpoint } from '../endpoint.ts'
import { isPresent, type Member } from '../member.ts'
import { below, fraction, type Random } from '../random.ts'
import type { Bounds } from './exchange.ts'
import { LostMembers, type LostMember } from './lost-members.ts'
import type { Roster } from './roster.ts'

/** A background attempt gives up on connecting early: the next one may fall into better times. */
export const RECONNECT_BOUNDS: Bounds = { dialTimeoutMs: 1000 }

/** Comparisons with other members after the last return of a lost one. */
const REPAIRS = 3

/**
 * Who lost this share of the members was rather cut off itself. It takes minutes to give up all of
 * a large cluster, one probe after the other, so the share is small.
 */
const ISOLATED_SHARE = 0.1

/**
 * Who was cut off asks how others see it within this time after its return, not all in the same
 * moment.
 */
const SELF_CHECK_MS = 300

/**
 * Members that we greet at a time after we were cut off: all of a middling cluster. In a larger one
 * gossip sends each piece of news more often, and misses hardly anybody.
 */
const MAX_GREETINGS = 100

/**
 * Between introductions to strangers: some, like those that the delegate refuses, stay strangers.
 */
const STRANGER_PAUSE_MS = 5000

export interface ReunionParts {
  readonly config: Config
  readonly clock: Clock
  readonly random: Random
  readonly roster: Roster
  readonly advertise: Endpoint
  /** Exchanges states, as a join or not. */
  readonly contact: (to: Endpoint, join: boolean, bounds: Bounds) => Promise<void>
  /** Tells a member that we live. */
  readonly greet: (member: Member) => void
}

/**
 * Finds lost members again, and catches up with what was said while they were away. SWIM itself
 * never contacts the dead, so without this both halves of a healed partition would stay apart.
 */
export class Reunion {
  readonly #parts: ReunionParts
  readonly #lost: LostMembers
  #repairsLeft = 0
  /**
   * Whether we lost so many that it was we who were cut off: then others may still hold us for
   * dead.
   */
  #wasIsolated = false
  #selfCheck: Timer | undefined
  /** Somebody we do not know holds us for a member. */
  #stranger: Endpoint | undefined
  #noStrangersBefore = 0

  constructor(parts: ReunionParts) {
    this.#parts = parts
    this.#lost = new LostMembers(parts.clock, parts.config.reconnectTimeoutMs)
  }

  /** A member failed: it may be behind a partition. */
  lost(member: Member): void {
    this.#lost.add(member)
  }

  /** A member is back, or gone for good. */
  found(name: string): void {
    const before = this.#lost.size
    if (!this.#lost.delete(name)) return
    this.#repairsLeft = REPAIRS
    const { clock, random, roster } = this.#parts
    const many = Math.max(2, ISOLATED_SHARE * roster.size)
    if (this.#wasIsolated || before < many) return
    this.#wasIsolated = true
    this.#selfCheck = clock.setTimeout(() => void this.#repair(), fraction(random) * SELF_CHECK_MS)
  }

  /**
   * A member of our cluster that we do not know: we introduce ourselves at the next opportunity.
   */
  strangerAt(endpoint: Endpoint): void {
    this.#stranger ??= endpoint
  }

  /** Does what is due; never rejects. */
  async tick(): Promise<void> {
    await Promise.all([this.#tryLostMember(), this.#repair(), this.#meetStranger()])
  }

  stop(): void {
    if (this.#selfCheck !== undefined) this.#parts.clock.clearTimeout(this.#selfCheck)
  }

  /** With the probability lost/present, so that a large cluster does not storm one dead member. */
  async #tryLostMember(): Promise<void> {
    const { random, roster } = this.#parts
    const lost = this.#lost.current()
    if (lost.length === 0) return
    const present = [...roster.members.values()].filter(isPresent).length
    if (fraction(random) >= lost.length / present) return
    await this.#reunite(lost[below(random, lost.length)]!)
  }

  /**
   * The first exchange tells each side that the other holds it for dead, so both refute; the second
   * carries the refutations across.
   */
  async #reunite(lost: LostMember): Promise<void> {
    for (let exchange = 0; exchange < 2 && this.#lost.has(lost.name); exchange++) {
      if (!(await this.#contact(lost.endpoint, true))) return
    }
    if (this.#lost.has(lost.name)) this.#lost.contactedInVain(lost)
  }

  /**
   * When lost members return, a partition is healing, and then so much is told at once that some of
   * it gets lost. Others may know of returns that we missed: we compare with them as long as that
   * brings anybody back. Who was cut off also learns this way that others hold it for dead, and
   * tells them itself that it lives: gossip misses somebody now and then, and whoever it missed
   * would have to wait for our next probe.
   */
  async #repair(): Promise<void> {
    const { greet } = this.#parts
    const worthwhile = this.#lost.size > 0 || this.#wasIsolated
    if (this.#repairsLeft === 0 || !worthwhile) return
    if (this.#wasIsolated) for (const member of this.#others(MAX_GREETINGS)) greet(member)
    if (--this.#repairsLeft === 0) this.#wasIsolated = false
    const [partner] = this.#others(1)
    if (partner !== undefined) await this.#contact(partner, false)
  }

  #others(count: number): Member[] {
    const { roster, advertise } = this.#parts
    return roster.draw(count, (each) => isPresent(each) && !sameEndpoint(each, advertise))
  }

  async #meetStranger(): Promise<void> {
    const endpoint = this.#stranger
    const now = this.#parts.clock.now()
    if (endpoint === undefined || now < this.#noStrangersBefore) return
    this.#stranger = undefined
    this.#noStrangersBefore = now + STRANGER_PAUSE_MS
    await this.#contact(endpoint, true)
  }

  /** Whether somebody answered. */
  async #contact(endpoint: Endpoint, join: boolean): Promise<boolean> {
    return await this.#parts.contact(endpoint, join, RECONNECT_BOUNDS).then(
      () => true,
      () => false,
    )
  }
}
