import type { Clock } from '../../ports/clock.ts'
import type { Config } from '../../config.ts'
import type { Member } from '../../member.ts'
import type { Random } from '../../ports/random.ts'
import type { Messenger } from '../messaging/messenger.ts'
import type { Roster } from './roster.ts'
import { Ticker } from '../ticker.ts'

export interface GossiperParts {
  readonly config: Config
  readonly clock: Clock
  readonly random: Random
  readonly self: () => Member
  readonly roster: Roster
  readonly messenger: Messenger
}

/** Hands the pending broadcasts to a few random members per interval. */
export class Gossiper {
  readonly #parts: GossiperParts
  readonly #ticker: Ticker

  constructor(parts: GossiperParts) {
    this.#parts = parts
    const { clock, random, config } = parts
    this.#ticker = new Ticker(
      clock,
      random,
      () => config.gossipIntervalMs,
      () => this.#round(),
    )
  }

  start(): void {
    this.#ticker.start()
  }

  stop(): void {
    this.#ticker.stop()
  }

  #round(): void {
    const { config, roster, messenger } = this.#parts
    for (const member of roster.draw(config.gossipNodes, (each) => this.#listens(each))) {
      if (!messenger.gossip(member)) return
    }
  }

  /** The recently dead are told too: they may be alive, and then they can refute. */
  #listens(member: Member): boolean {
    const { clock, config, self } = this.#parts
    if (member.name === self().name || member.state === 'left') return false
    if (member.state !== 'dead') return true
    return clock.now() - member.since < config.gossipToTheDeadMs
  }
}
