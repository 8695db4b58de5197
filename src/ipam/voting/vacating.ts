import type { Clock } from '../../base/clock.ts'
import { isBug, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { named } from '../refusals.ts'
import type { RosterChange, RosterWish } from './roster-change.ts'
import type { Seat } from './seat.ts'
import { Vacancies, vacateAfterMs } from './vacancies.ts'
import type { Wire } from './wire.ts'

/** A change of the roster is given up after this long, and proposed again later, ms. */
const changeMs = 4000

/**
 * Has the seats of voters vacated that are dead for long, so that those who died one after the other are no majority some day. They
 * stay on the roster: what they own is theirs until they are forgotten.
 */
export class Vacating {
  readonly #seat: Seat
  readonly #wire: Wire
  readonly #change: RosterChange
  readonly #ports: { clock: Clock; logger: Logger }
  readonly #vacancies: Vacancies
  #running = false

  constructor(
    seat: Seat,
    wire: Wire,
    change: RosterChange,
    ports: { clock: Clock; logger: Logger },
    afterMs = vacateAfterMs,
  ) {
    this.#seat = seat
    this.#wire = wire
    this.#change = change
    this.#ports = ports
    this.#vacancies = new Vacancies(afterMs)
  }

  /** Begins what is due; nobody waits for it. */
  step(): void {
    const { roster, sealed, voter } = this.#seat
    if (roster === null || sealed || this.#running) return
    const { clock, logger } = this.#ports
    const vacating = this.#vacancies.due(roster, voter.name, this.#wire.states(), clock.now())
    if (vacating.length === 0) return
    this.#running = true
    this.#vacate(vacating)
      .catch((error: unknown) => {
        if (isBug(error)) throw error
        this.#vacancies.postpone(clock.now())
        logger.debug('seats of the dead were not vacated', { error: messageOf(error) })
      })
      .finally(() => (this.#running = false))
  }

  /** Those that come back meanwhile keep their seats. */
  async #vacate(vacating: readonly string[]): Promise<void> {
    const { clock, logger } = this.#ports
    const isBack = (name: string): boolean => this.#wire.others().includes(name)
    const wish: RosterWish = { vacating, isBack }
    const { absent } = await this.#change.change(wish, clock.now() + changeMs)
    const names = absent.map(({ name }) => name).filter((name) => vacating.includes(name))
    if (names.length === 0) return
    logger.info(`no vote for ${named(names)} until they are back; what they have stays theirs`)
  }
}
