import { attempt, failure } from '../../base/errors.ts'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import type { IpamStore } from '../ports.ts'
import { tables } from '../tables.ts'

/** Addresses are handed out for this part of the time after which a silent member is evicted. */
const trustedPart = 1 / 2
/** The membership is renewed so often in `forgetAfterMs`. */
const renewalsPerEviction = 16
const heardKey = 'heard'

interface LeaseParts {
  readonly self: string
  readonly clock: Clock
  readonly logger: Logger
  readonly store: IpamStore
  readonly forgetAfterMs: number
  /** Names of the voters, as this member's log has them. */
  readonly voters: () => readonly string[]
}

/**
 * Keeps a member that the others may have evicted from handing out addresses of blocks that may be
 * somebody else's by now. Who does not renew its membership for `forgetAfterMs` is evicted; so one
 * that has not renewed it for half of that time hands out nothing before it has. The time is that
 * of both our clocks, the longer of the two: one stands still while a machine sleeps, the other may
 * be set. After a start it is the time since the renewal noted on the disk; one that lies in the
 * future says nothing.
 */
export class MembershipLease {
  readonly #parts: LeaseParts
  /** When the last renewal that succeeded was sent, on our clock and the wall's, ms. */
  #heard: { readonly now: number; readonly wall: number }
  #isLogged = false

  constructor(parts: LeaseParts) {
    this.#parts = parts
    const { clock, store } = parts
    const wall = store.get<{ wall: number }>(tables.self, heardKey)?.wall ?? Infinity
    const passed = clock.wall() - wall
    const known = passed >= 0
    this.#heard = { now: known ? clock.now() - passed : -Infinity, wall: known ? wall : -Infinity }
  }

  /** Whether a renewal is due. */
  get isDue(): boolean {
    return this.#silentMs >= this.#parts.forgetAfterMs / renewalsPerEviction
  }

  /**
   * Whether the others may have evicted us. Of one or two voters that need our vote, they cannot.
   */
  get isLapsed(): boolean {
    const { self, voters, forgetAfterMs } = this.#parts
    const names = voters()
    if (names.length <= 2 && names.includes(self)) return false
    return this.#silentMs > forgetAfterMs * trustedPart
  }

  /** A renewal succeeded that was sent at this time of our clocks, ms. Notes it on the disk. */
  renewed(sent: { readonly now: number; readonly wall: number }): void {
    if (sent.now < this.#heard.now) return
    this.#heard = sent
    const { logger, store } = this.#parts
    const value = { wall: sent.wall }
    const written = (): Promise<void> => store.write([{ table: tables.self, key: heardKey, value }])
    void attempt(written, (error) => logger.debug('could not note the renewal', { error }))
  }

  /** Logs once when it lapsed, and once when it is renewed. */
  report(): void {
    if (this.isLapsed === this.#isLogged) return
    this.#isLogged = this.isLapsed
    const { logger } = this.#parts
    if (this.#isLogged) logger.warn(`no new addresses: ${this.#reason()}`)
    else logger.info('the membership is renewed: addresses are handed out again')
  }

  /**
   * Fails with QUORUM while the membership has lapsed; `why` is what the last renewal failed with.
   */
  check(what: string, why: string | null): void {
    if (!this.isLapsed) return
    throw failure(
      'QUORUM',
      `${this.#parts.self} cannot hand out ${what}: ${this.#reason()}. What runs goes on running. ` +
        (why ?? 'Connect this host with the voters again'),
    )
  }

  get #silentMs(): number {
    const { clock } = this.#parts
    return Math.max(clock.now() - this.#heard.now, clock.wall() - this.#heard.wall)
  }

  #reason(): string {
    const hours = this.#silentMs / 3_600_000
    const time = Number.isFinite(hours) ? `for ${hours.toFixed(1)} h` : 'since it was started'
    return (
      `it has not reached a majority of the voters ${time}, and may have been evicted and its addresses ` +
      'given to others (FORGET_AFTER)'
    )
  }
}
