import type { MemberState } from '../ports.ts'
import { type Holder, holderOf, majorityOf, type Roster, seatsLeast } from './roster.ts'

/**
 * A voter that is dead for this long loses its seat, ms: well above a reboot and most cuts, well below the time in which a
 * second and a third host of a small cluster are lost.
 */
export const vacateAfterMs = 10 * 60_000
/** The living propose one after the other, this part of the time apart, so that they do not outbid each other. */
const turns = 300
/** What did not come about is proposed again after this part of the time. */
const retries = 10

/**
 * Counts for how long voters have been dead, as we see it in this run while we have a seat and see a majority, and says whose
 * seats are to be vacated. It only decides when that is proposed: a majority decides what becomes of it, and nothing but
 * a vote is lost. Whoever sees no majority proposes nothing, since that would only keep the others from voting.
 */
export class Vacancies {
  readonly #afterMs: number
  readonly #deadSince = new Map<Holder, number>()
  #notBefore = -Infinity

  constructor(afterMs: number) {
    this.#afterMs = afterMs
  }

  /** Names of voters whose seats `self` is to have vacated at `now`, on its clock, ms. */
  due(
    { voters }: Roster,
    self: string,
    states: ReadonlyMap<string, MemberState['state']>,
    now: number,
  ): string[] {
    const dead = voters.filter(({ name }) => (states.get(name) ?? 'dead') === 'dead')
    const isSeated = voters.some(({ name }) => name === self)
    if (!isSeated || voters.length - dead.length < majorityOf(voters.length)) {
      this.#deadSince.clear()
      return []
    }
    const holders = new Set(dead.map((voter) => holderOf(voter)))
    for (const holder of this.#deadSince.keys()) {
      if (!holders.has(holder)) this.#deadSince.delete(holder)
    }
    for (const holder of holders) {
      if (!this.#deadSince.has(holder)) this.#deadSince.set(holder, now)
    }
    if (voters.length <= seatsLeast || now < this.#notBefore) return []
    const before = voters.filter((voter) => voter.name < self && !holders.has(holderOf(voter)))
    const ms = this.#afterMs * (1 + before.length / turns)
    return dead
      .filter((voter) => now - this.#deadSince.get(holderOf(voter))! >= ms)
      .map(({ name }) => name)
  }

  /** What was proposed did not come about: nothing is due for a while. */
  postpone(now: number): void {
    this.#notBefore = now + this.#afterMs / retries
  }
}
