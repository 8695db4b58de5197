import type { Clock } from '../../base/clock.ts'
import type { Fence } from './fence.ts'
import type { Seat } from './seat.ts'
import type { Wire } from './wire.ts'

/**
 * After a start the others are given this long to be heard of at all, ms. Joining takes some tens of them where anybody is
 * there, and the engine dials later than this.
 */
const silenceMs = 200
/** Those that are there are given this long to answer. What needs them waits this long after a start for them to appear, ms. */
const answerMs = 1500
/** How often we look who has appeared, ms. */
const pollMs = 50

/**
 * Whether the others still know us, after a start. An operator may have had a member forgotten a moment after it fell silent,
 * and nothing on its disk can tell. Where others are there, one question does: so no address of a block of ours is handed out
 * before each voter that is there was asked. Nobody waits for one that is not: it could not be told apart from one that is off.
 * That time alone had us forgotten is the `Fence`'s affair.
 */
export class RollCall {
  readonly #seat: Seat
  readonly #wire: Wire
  readonly #fence: Fence
  readonly #clock: Clock
  /** When this start was, on our clock, ms. */
  began: number
  /** Most voters said that they follow our roster, or there was nobody to say so when we started. */
  #complete = false

  constructor(seat: Seat, wire: Wire, fence: Fence, clock: Clock) {
    this.#seat = seat
    this.#wire = wire
    this.#fence = fence
    this.#clock = clock
    this.began = clock.now()
  }

  /** Begins to ask. */
  start(): void {
    const { roster, seated } = this.#seat
    this.began = this.#clock.now()
    this.#complete = roster === null || (roster.voters.length === 1 && seated)
    void this.gather()
  }

  /** Whether there is nothing that anybody would have to wait for any more. */
  get over(): boolean {
    return this.#complete || this.#clock.now() >= this.began + answerMs
  }

  /** Whether all others were heard of in this life and are dead, not just unheard of. */
  get deserted(): boolean {
    const states = this.#wire.states()
    const others = this.#others()
    return this.#seat.roster !== null && others.every((name) => states.get(name) === 'dead')
  }

  /** Resolves when our blocks may be trusted as far as anybody who is there can tell; at once when nobody is. */
  async trust(): Promise<void> {
    const until = this.#clock.now() + answerMs
    await this.#askWhile(() => this.#mayTell(), until)
  }

  /** For what cannot be had without others: resolves when most are there, or are known or by now believed to be away. */
  async gather(): Promise<void> {
    await this.#askWhile(() => !this.deserted, this.began + answerMs)
  }

  async #askWhile(worth: () => boolean, until: number): Promise<void> {
    const left = (): number => (this.#complete || !worth() ? 0 : until - this.#clock.now())
    while (left() > 0) {
      const heard = this.#fence.hear().then((most) => (this.#complete ||= most))
      await Promise.race([heard, this.#wire.pause(left())])
      if (left() > 0) await this.#wire.pause(Math.min(pollMs, left()))
    }
  }

  /** Whether a voter that was not asked yet is there, or may appear in a moment. */
  #mayTell(): boolean {
    const states = this.#wire.states()
    const early = this.#clock.now() < this.began + silenceMs
    return this.#others().some((name) => {
      const state = states.get(name)
      if (state === undefined) return early
      return state !== 'dead' && !this.#fence.asked.has(name)
    })
  }

  #others(): string[] {
    const { roster, voter } = this.#seat
    return (roster?.voters ?? []).map(({ name }) => name).filter((name) => name !== voter.name)
  }
}
