/**
 * Whom to probe next. SWIM goes through all members in a new random order each round. That leaves
 * to chance how soon anybody probes one that died: one interval on average, more than seven in one
 * death of a thousand. So every second probe goes to the next member by name, and each one is
 * probed by the one before it every other interval.
 */
import type { Clock } from '../../ports/clock.ts'
import type { Config } from '../../config.ts'
import { isPresent, type Member } from '../../member.ts'
import type { Membership } from '../membership/membership.ts'
import type { Roster } from '../membership/roster.ts'

export interface ProbeOrderParts {
  readonly config: Config
  readonly clock: Clock
  readonly roster: Roster
  readonly membership: Membership
}

/** Chooses the targets of probes. */
export class ProbeOrder {
  readonly #parts: ProbeOrderParts
  #successorsTurn = false
  #last = ''

  constructor(parts: ProbeOrderParts) {
    this.#parts = parts
  }

  /** The next target; `undefined` when nobody else is present. */
  next(): Member | undefined {
    const following = this.#following()
    const target =
      following.find((member) => this.#needsOurView(member)) ??
      (this.#turn() ? following.find(({ state }) => state === 'alive') : undefined) ??
      this.#nextInRound()
    this.#last = target?.name ?? ''
    return target
  }

  /** As many as it takes to confirm a suspicion, and one more. */
  #following(): Member[] {
    const { config, roster, membership } = this.#parts
    return roster.following(membership.self.name, config.suspicionMult, isPresent)
  }

  /**
   * Others suspect it: our probe confirms that, or lets it refute. Not twice in a row, lest nobody
   * else is probed.
   */
  #needsOurView({ name }: Member): boolean {
    return name !== this.#last && this.#parts.membership.couldConfirm(name)
  }

  #turn(): boolean {
    this.#successorsTurn = !this.#successorsTurn
    return this.#successorsTurn
  }

  #nextInRound(): Member | undefined {
    const { roster, membership } = this.#parts
    const self = membership.self.name
    return roster.nextInRound(
      (member) => isPresent(member) && member.name !== self,
      (member) => member.name !== self && this.#expired(member),
    )
  }

  #expired(member: Member): boolean {
    const { clock, config } = this.#parts
    return !isPresent(member) && clock.now() - member.since > config.gossipToTheDeadMs
  }
}
