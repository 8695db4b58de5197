import type { Clock, Timer } from '../../ports/clock.ts'
import type { Config } from '../../config.ts'
import { sameAddress, type SocketAddress } from '../../socket-address.ts'
import { isPresent, type Member } from '../../member.ts'
import { below, fraction, type Random } from '../../ports/random.ts'
import type { Bounds } from '../messaging/stream-client.ts'
import { FailedMembers, type FailedMember } from './failed-members.ts'
import type { Roster } from '../membership/roster.ts'

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
const MAX_ALIVE_MESSAGES = 100

/**
 * Between introductions to strangers: some, like those that the delegate refuses, stay strangers.
 */
const UNKNOWN_MEMBER_PAUSE_MS = 5000

export interface ReconnectorParts {
  readonly config: Config
  readonly clock: Clock
  readonly random: Random
  readonly roster: Roster
  readonly advertise: SocketAddress
  /** Exchanges states, as a join or not. */
  readonly contact: (to: SocketAddress, join: boolean, bounds: Bounds) => Promise<void>
  /** Tells a member that we live. */
  readonly sendAlive: (member: Member) => void
}

/**
 * Finds lost members again, and catches up with what was said while they were away. SWIM itself
 * never contacts the dead, so without this both halves of a healed partition would stay apart.
 */
export class Reconnector {
  readonly #parts: ReconnectorParts
  readonly #failed: FailedMembers
  #repairsLeft = 0
  /**
   * Whether we lost so many that it was we who were cut off: then others may still hold us for
   * dead.
   */
  #wasIsolated = false
  #selfCheck: Timer | undefined
  /** Somebody we do not know holds us for a member. */
  #unknownMember: SocketAddress | undefined
  #unknownMembersAfter = 0

  constructor(parts: ReconnectorParts) {
    this.#parts = parts
    this.#failed = new FailedMembers(parts.clock, parts.config.reconnectTimeoutMs)
  }

  /** A member failed: it may be behind a partition. */
  failed(member: Member): void {
    this.#failed.add(member)
  }

  /** A member is back, or gone for good. */
  returned(name: string): void {
    const before = this.#failed.size
    if (!this.#failed.delete(name)) return
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
  unknownMemberAt(endpoint: SocketAddress): void {
    this.#unknownMember ??= endpoint
  }

  /** Does what is due; never rejects. */
  async tick(): Promise<void> {
    await Promise.all([this.#contactFailedMember(), this.#repair(), this.#contactUnknownMember()])
  }

  stop(): void {
    if (this.#selfCheck !== undefined) this.#parts.clock.clearTimeout(this.#selfCheck)
  }

  /** With the probability lost/present, so that a large cluster does not storm one dead member. */
  async #contactFailedMember(): Promise<void> {
    const { random, roster } = this.#parts
    const lost = this.#failed.current()
    if (lost.length === 0) return
    const present = [...roster.members.values()].filter(isPresent).length
    if (fraction(random) >= lost.length / present) return
    await this.#reconnect(lost[below(random, lost.length)]!)
  }

  /**
   * The first exchange tells each side that the other holds it for dead, so both refute; the second
   * carries the refutations across.
   */
  async #reconnect(lost: FailedMember): Promise<void> {
    for (let exchange = 0; exchange < 2 && this.#failed.has(lost.name); exchange++) {
      if (!(await this.#contact(lost.endpoint, true))) return
    }
    if (this.#failed.has(lost.name)) this.#failed.contactedInVain(lost)
  }

  /**
   * When lost members return, a partition is healing, and then so much is told at once that some of
   * it gets lost. Others may know of returns that we missed: we compare with them as long as that
   * brings anybody back. Who was cut off also learns this way that others hold it for dead, and
   * tells them itself that it lives: gossip misses somebody now and then, and whoever it missed
   * would have to wait for our next probe.
   */
  async #repair(): Promise<void> {
    const { sendAlive } = this.#parts
    const worthwhile = this.#failed.size > 0 || this.#wasIsolated
    if (this.#repairsLeft === 0 || !worthwhile) return
    if (this.#wasIsolated) for (const member of this.#others(MAX_ALIVE_MESSAGES)) sendAlive(member)
    if (--this.#repairsLeft === 0) this.#wasIsolated = false
    const [partner] = this.#others(1)
    if (partner !== undefined) await this.#contact(partner, false)
  }

  #others(count: number): Member[] {
    const { roster, advertise } = this.#parts
    return roster.draw(count, (each) => isPresent(each) && !sameAddress(each, advertise))
  }

  async #contactUnknownMember(): Promise<void> {
    const endpoint = this.#unknownMember
    const now = this.#parts.clock.now()
    if (endpoint === undefined || now < this.#unknownMembersAfter) return
    this.#unknownMember = undefined
    this.#unknownMembersAfter = now + UNKNOWN_MEMBER_PAUSE_MS
    await this.#contact(endpoint, true)
  }

  /** Whether somebody answered. */
  async #contact(endpoint: SocketAddress, join: boolean): Promise<boolean> {
    return await this.#parts.contact(endpoint, join, RECONNECT_BOUNDS).then(
      () => true,
      () => false,
    )
  }
}
