import type { Clock } from '../../ports/clock.ts'
import type { Config } from '../../config.ts'
import type { SocketAddress } from '../../socket-address.ts'
import type { Member } from '../../member.ts'
import type { Random } from '../../ports/random.ts'
import { pushPullScale } from '../../rules/formulas.ts'
import type { Roster } from '../membership/roster.ts'
import { Ticker } from '../ticker.ts'

export interface PushPullerParts {
  readonly config: Config
  readonly clock: Clock
  readonly random: Random
  readonly self: () => Member
  readonly roster: Roster
  readonly contact: (to: SocketAddress) => Promise<void>
  readonly count: (name: string) => void
}

/** Between exchanges out of turn; scaled up as the regular ones are. */
const OUT_OF_TURN_PAUSE_MS = 1000

/** Exchanges the full state with a random member periodically, which repairs what gossip missed. */
export class PushPuller {
  readonly #parts: PushPullerParts
  readonly #ticker: Ticker
  #busy = false
  #nextOutOfTurn = -Infinity

  constructor(parts: PushPullerParts) {
    this.#parts = parts
    const { clock, random, config, roster } = parts
    const interval = () => config.pushPullIntervalMs * pushPullScale(roster.size)
    this.#ticker = new Ticker(clock, random, interval, () => void this.#tick())
  }

  start(): void {
    this.#ticker.start()
  }

  stop(): void {
    this.#ticker.stop()
  }

  /** Exchanges now, unless an exchange out of turn was a short while ago. */
  outOfTurn(): void {
    const { clock, roster } = this.#parts
    if (clock.now() < this.#nextOutOfTurn) return
    this.#nextOutOfTurn = clock.now() + OUT_OF_TURN_PAUSE_MS * pushPullScale(roster.size)
    void this.#tick()
  }

  async #tick(): Promise<void> {
    const { roster, self, contact, count } = this.#parts
    const own = self().name
    const [partner] = roster.draw(1, ({ name, state }) => state === 'alive' && name !== own)
    if (partner === undefined || this.#busy) return
    this.#busy = true
    try {
      await contact(partner)
    } catch {
      count('push-pull-failed')
    } finally {
      this.#busy = false
    }
  }
}
