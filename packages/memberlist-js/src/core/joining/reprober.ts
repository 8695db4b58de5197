import type { Clock } from '../../ports/clock.ts'
import { below, sample, type Random } from '../../ports/random.ts'
import type { Config } from '../../config.ts'
import { isPresent, type Member } from '../../member.ts'
import { sameAddress, type SocketAddress } from '../../socket-address.ts'
import type { Messenger } from '../messaging/messenger.ts'
import type { Roster } from '../membership/roster.ts'
import { Ticker } from '../ticker.ts'
import type { FailedMembers } from './failed-members.ts'

/** Reprobes of all members together in one interval, for each failed member, about. */
const REPROBES_PER_INTERVAL = 4

/** Members that are reprobed at once when we ourselves were cut off. */
const MAX_REPROBES_AT_ONCE = 64

/**
 * A member that lost this many others, or a tenth if that is fewer, was probably cut off itself.
 */
const MIN_UNREACHABLE = 3
const UNREACHABLE_SHARE = 0.1

export interface ReproberParts {
  readonly config: Config
  readonly clock: Clock
  readonly random: Random
  readonly self: () => Member
  readonly roster: Roster
  readonly failed: FailedMembers
  readonly messenger: Messenger
}

/**
 * Tells suspect and failed members that they are accused, so that they can refute. SWIM leaves that
 * to the next probe and to gossip, which does not reach the dead: a host whose cable is back would
 * wait until somebody connects to it. One packet with the accusation is answered with the
 * refutation, so an innocent suspect is cleared, and a failed member is back, within a round trip.
 * A member is told when the suspicion begins, when it fails, when a packet comes from it, and
 * periodically while it is gone.
 */
export class Reprober {
  readonly #parts: ReproberParts
  readonly #ticker: Ticker
  readonly #suspects = new Map<string, Member>()
  /** Told in this interval already. */
  readonly #told = new Set<string>()
  #toldAll = false

  constructor(parts: ReproberParts) {
    this.#parts = parts
    const { clock, random, config } = parts
    const interval = () => config.reprobeIntervalMs
    this.#ticker = new Ticker(clock, random, interval, () => this.#tick())
  }

  start(): void {
    this.#ticker.start()
  }

  stop(): void {
    this.#ticker.stop()
  }

  /** A member is suspect. */
  suspected(member: Member): void {
    this.#suspects.set(member.name, member)
    this.#reprobe(member)
  }

  /** A member failed. */
  failed(member: Member): void {
    this.#suspects.delete(member.name)
    this.#reprobe(member)
  }

  /** A member is alive again, or has left. */
  settled(name: string): void {
    this.#suspects.delete(name)
  }

  /** A packet came from there: whoever we hold for suspect or dead there is not. */
  heardFrom(address: SocketAddress): void {
    if (this.#suspects.size === 0 && this.#parts.failed.size === 0) return
    const accused = this.#accused().find((member) => sameAddress(member, address))
    if (accused !== undefined) this.#reprobe(accused)
  }

  /**
   * We had to refute. If we have lost many others, it was us who were cut off: they may be there.
   */
  wereAccused(): void {
    const accused = this.#accused()
    const many = Math.min(MIN_UNREACHABLE, UNREACHABLE_SHARE * this.#parts.roster.size)
    if (this.#toldAll || accused.length < many) return
    this.#toldAll = true
    this.#told.clear()
    const chosen = sample(this.#parts.random, accused, MAX_REPROBES_AT_ONCE, () => true)
    for (const member of chosen) this.#reprobe(member)
  }

  /** The more have failed, the likelier: so a failed member hears of all together, not of each. */
  #tick(): void {
    this.#told.clear()
    this.#toldAll = false
    const { random, roster, failed } = this.#parts
    const gone = failed.current().map(({ member }) => member)
    const present = [...roster.members.values()].filter(isPresent).length
    if (below(random, present) >= REPROBES_PER_INTERVAL * gone.length) return
    for (const member of sample(random, gone, REPROBES_PER_INTERVAL, () => true))
      this.#reprobe(member)
  }

  #reprobe(member: Member): void {
    const { config, messenger, self } = this.#parts
    if (config.reprobeIntervalMs === 0 || this.#told.has(member.name)) return
    if (self().state === 'left') return
    this.#told.add(member.name)
    const body = { node: member.name, incarnation: member.incarnation, from: self().name }
    messenger.sendExactly([{ type: 'suspect', body }], member, member)
  }

  #accused(): Member[] {
    const failed = this.#parts.failed.current().map(({ member }) => member)
    return [...this.#suspects.values(), ...failed]
  }
}
