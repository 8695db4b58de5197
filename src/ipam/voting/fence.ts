import type { Clock } from '../../base/clock.ts'
import { failure, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { IpamStore } from '../ports.ts'
import { named, toForget } from '../refusals.ts'
import { tables } from '../tables.ts'
import type { Answer } from './messages.ts'
import { blockingCount, majorityOf } from './roster.ts'
import type { Seat } from './seat.ts'
import type { Wire } from './wire.ts'

/** Our blocks are trusted for this part of the time after which the others may forget us: the rest is for clocks that differ. */
const trustedPart = 1 / 2
/** In that time the voters are heard so often. */
const rounds = 8
/** How often voters are asked anew when somebody waits, while too few answer, ms. */
const pollMs = 50
const heardKey = 'heard'

/**
 * Keeps a member that the others may have forgotten from handing out addresses of blocks that may be somebody else's by now.
 * A majority forgets who stays away for `forgetAfterMs`. As long as so many voters follow our roster that the others are no
 * majority, it cannot. So when we have not heard so many for half of that time we hand out nothing before we have.
 * What counts is the time on both our clocks, whichever says more: one stands still while a machine sleeps, the other may be
 * set. After a start it is the time since the last word on the disk; one that lies in the future says nothing.
 */
export class Fence {
  readonly #seat: Seat
  readonly #wire: Wire
  readonly #ports: { clock: Clock; logger: Logger; store: IpamStore; forgetAfterMs: number }
  readonly #following: () => boolean
  /** When voters who then told us that they follow our roster were asked, on our clock and the wall's, ms. */
  #heard: { readonly now: number; readonly wall: number }
  #missing: readonly string[] = []
  #round: Promise<boolean> | null = null
  #told = false
  readonly #asked = new Set<string>()

  /** `following`: whether we are about to follow another roster. */
  constructor(
    seat: Seat,
    wire: Wire,
    ports: { clock: Clock; logger: Logger; store: IpamStore; forgetAfterMs: number },
    following: () => boolean,
  ) {
    this.#seat = seat
    this.#wire = wire
    this.#ports = ports
    this.#following = following
    const { clock, store } = ports
    const wall = store.get<{ wall: number }>(tables.self, heardKey)?.wall ?? Infinity
    const passed = clock.wall() - wall
    const known = passed >= 0
    this.#heard = { now: known ? clock.now() - passed : -Infinity, wall: known ? wall : -Infinity }
  }

  /** Whether the others may have forgotten us. */
  get closed(): boolean {
    const { roster, listed } = this.#seat
    if (roster === null || !listed || this.#ours >= blockingCount(roster.voters.length))
      return false
    return this.#silentMs > this.#trustedMs
  }

  /** Hears the voters when that is due. */
  async step(): Promise<void> {
    if (this.#silentMs >= this.#trustedMs / rounds) await this.hear()
    if (this.closed === this.#told) return
    this.#told = this.closed
    const { logger } = this.#ports
    if (this.#told) logger.warn(`no new addresses: ${this.#reason()}`)
    else logger.info('heard from the other members again: addresses are handed out')
  }

  /** Names of voters that were there when all were asked, since this start, and told of no better roster. */
  get asked(): ReadonlySet<string> {
    return this.#asked
  }

  /**
   * Asks the other voters which roster they follow; whether most follow ours. A member that was forgotten while it was
   * away learns of it here. Takes as long as the slowest that is there; those that are away cost no time.
   */
  hear(): Promise<boolean> {
    this.#round ??= this.#ask().finally(() => (this.#round = null))
    return this.#round
  }

  /** Resolves when addresses may be handed out. Fails with NO_MAJORITY after `deadline`, on our clock, ms. */
  async pass(what: string, deadline: number): Promise<void> {
    const { clock } = this.#ports
    while (this.closed) {
      await this.hear()
      if (!this.closed) return
      if (clock.now() >= deadline) {
        throw failure(
          'NO_MAJORITY',
          `${this.#seat.voter.name} cannot hand out ${what}: ${this.#reason()}. What runs goes on running. ` +
            'Connect this host with those members again or, if they are gone for good, have them forgotten: ' +
            toForget(this.#missing),
        )
      }
      await this.#wire.pause(pollMs)
    }
  }

  /** We count ourselves as one that follows our roster, if we have a seat: without us the others may be a majority. */
  get #ours(): number {
    return this.#seat.seated ? 1 : 0
  }

  get #trustedMs(): number {
    return this.#ports.forgetAfterMs * trustedPart
  }

  get #silentMs(): number {
    const { clock } = this.#ports
    return Math.max(clock.now() - this.#heard.now, clock.wall() - this.#heard.wall)
  }

  async #ask(): Promise<boolean> {
    const { clock, logger, store } = this.#ports
    const { roster, voter } = this.#seat
    if (roster === null) return false
    const asked = { now: clock.now(), wall: clock.wall() }
    const most = majorityOf(roster.voters.length)
    const others = roster.voters.filter(({ name }) => name !== voter.name)
    const there = this.#wire.others()
    const { answers } = await this.#wire.gather(
      others,
      { kind: 'hello' },
      (answers) => agreeing(answers).size + this.#ours >= most,
    )
    const agree = agreeing(answers)
    if (this.#seat.roster?.tag !== roster.tag || this.#following()) return false
    for (const name of there) this.#asked.add(name)
    this.#missing = others.map(({ name }) => name).filter((name) => !agree.has(name))
    if (agree.size + this.#ours < blockingCount(roster.voters.length)) return false
    this.#heard = asked
    const value = { wall: asked.wall }
    store.write([{ table: tables.self, key: heardKey, value }]).catch((error: unknown) => {
      logger.warn('could not note when the others were heard', { error: messageOf(error) })
    })
    return agree.size + this.#ours >= most
  }

  #reason(): string {
    const voters = this.#seat.roster?.voters.length ?? 1
    const hours = this.#silentMs / 3_600_000
    const time = Number.isFinite(hours) ? `for ${hours.toFixed(1)} h` : 'since it was started'
    return (
      `it has not heard from enough of the ${voters} members ${time}, and the others may have given its addresses ` +
      `away (FORGET_AFTER); no answer from ${named(this.#missing)}`
    )
  }
}

/** Names of those that follow our roster. */
function agreeing(answers: ReadonlyMap<string, Answer['body']>): Set<string> {
  return new Set([...answers].filter(([, { kind }]) => kind === 'done').map(([name]) => name))
}
