import type { Clock, Timer } from '../../ports/clock.ts'
import { sameAddress, type SocketAddress } from '../../socket-address.ts'
import { isPresent, type Member } from '../../member.ts'
import { below, fraction, type Random } from '../../ports/random.ts'
import type { Bounds } from '../messaging/stream-client.ts'
import type { FailedMember, FailedMembers } from './failed-members.ts'
import type { Roster } from '../membership/roster.ts'

/** A background attempt gives up on connecting early: the next one may have better luck. */
export const RECONNECT_BOUNDS: Bounds = { dialTimeoutMs: 1000 }

/** State exchanges after the last return of a failed member. */
const REPAIRS = 3

/**
 * A member that lost this share of the others was probably cut off itself. It takes minutes until
 * all of a large cluster have failed, one probe after the other, so the share is small.
 */
const ISOLATED_SHARE = 0.1

/** After a partition the first of these exchanges comes within this time, at random. */
const SELF_CHECK_MS = 300

/**
 * Members that get our alive message at a time after a partition: all of a medium cluster. In a
 * larger one gossip sends each message more often, and misses hardly any member.
 */
const MAX_ALIVE_MESSAGES = 100

/** Between contacts to unknown members: some, as those that the delegate refuses, stay unknown. */
const UNKNOWN_MEMBER_PAUSE_MS = 5000

export interface ReconnectorParts {
  readonly clock: Clock
  readonly random: Random
  readonly roster: Roster
  readonly failed: FailedMembers
  readonly advertise: SocketAddress
  /** Exchanges states, as a join or not. */
  readonly contact: (to: SocketAddress, join: boolean, bounds: Bounds) => Promise<void>
  /** Sends a member our alive message. */
  readonly sendAlive: (member: Member) => void
}

/**
 * Connects to failed members again, and catches up after a partition. SWIM itself never contacts
 * the dead, so without this both halves of a healed partition would stay apart. The reprober does
 * the same by single packets; this one gets through where those are lost, and to members that
 * forgot us.
 */
export class Reconnector {
  readonly #parts: ReconnectorParts
  #repairsLeft = 0
  /** We lost so many that it was us who were cut off: others may still hold us for dead. */
  #wasIsolated = false
  #selfCheck: Timer | undefined
  /** Where a member is that we do not know and that pinged us. */
  #unknownMember: SocketAddress | undefined
  #unknownMembersAfter = 0

  constructor(parts: ReconnectorParts) {
    this.#parts = parts
  }

  /** A member failed: it may be behind a partition. */
  failed(member: Member): void {
    this.#parts.failed.add(member)
  }

  /** A member is back, or gone for good. */
  returned(name: string): void {
    const { clock, random, roster, failed } = this.#parts
    const before = failed.size
    if (!failed.delete(name)) return
    this.#repairsLeft = REPAIRS
    const many = Math.max(2, ISOLATED_SHARE * roster.size)
    if (this.#wasIsolated || before < many) return
    this.#wasIsolated = true
    this.#selfCheck = clock.setTimeout(() => void this.#repair(), fraction(random) * SELF_CHECK_MS)
  }

  /** A member that we do not know pinged us: we exchange states with it at the next tick. */
  unknownMemberAt(address: SocketAddress): void {
    this.#unknownMember ??= address
  }

  /** Does what is due; never rejects. */
  async tick(): Promise<void> {
    await Promise.all([this.#contactFailedMember(), this.#repair(), this.#contactUnknownMember()])
  }

  stop(): void {
    if (this.#selfCheck !== undefined) this.#parts.clock.clearTimeout(this.#selfCheck)
  }

  /** With the probability failed/present, so that a large cluster does not flood one member. */
  async #contactFailedMember(): Promise<void> {
    const { random, roster, failed } = this.#parts
    const candidates = failed.current()
    if (candidates.length === 0) return
    const present = [...roster.members.values()].filter(isPresent).length
    if (fraction(random) >= candidates.length / present) return
    await this.#reconnect(candidates[below(random, candidates.length)]!)
  }

  /**
   * The first exchange tells each side that the other holds it for dead, so both refute; the second
   * carries the refutations across.
   */
  async #reconnect(candidate: FailedMember): Promise<void> {
    const { failed } = this.#parts
    const { member } = candidate
    for (let exchange = 0; exchange < 2 && failed.has(member.name); exchange++) {
      if (!(await this.#contact(member, true))) return
    }
    if (failed.has(member.name)) failed.contactedFruitlessly(candidate)
  }

  /**
   * When failed members return, a partition is healing, and so much is sent then that some of it
   * gets lost. Others may know of returns that we missed, so we exchange states with them as long
   * as that brings members back. A member that was cut off learns this way too that others hold it
   * for dead, and sends them its alive message itself: a member that gossip missed would have to
   * wait for our next probe.
   */
  async #repair(): Promise<void> {
    const { sendAlive, failed } = this.#parts
    const isWorthwhile = failed.size > 0 || this.#wasIsolated
    if (this.#repairsLeft === 0 || !isWorthwhile) return
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
    const address = this.#unknownMember
    const now = this.#parts.clock.now()
    if (address === undefined || now < this.#unknownMembersAfter) return
    this.#unknownMember = undefined
    this.#unknownMembersAfter = now + UNKNOWN_MEMBER_PAUSE_MS
    await this.#contact(address, true)
  }

  /** Returns whether somebody answered. */
  async #contact(address: SocketAddress, join: boolean): Promise<boolean> {
    return await this.#parts.contact(address, join, RECONNECT_BOUNDS).then(
      () => true,
      () => false,
    )
  }
}
