import type { Member } from '../member.ts'
import { isPresent } from '../member.ts'
import { Probe, type ProbeParts } from './probe.ts'
import type { Membership } from './membership.ts'
import type { Random } from '../random.ts'
import type { Roster } from './roster.ts'
import { Ticker } from './ticker.ts'

export interface ProberParts extends ProbeParts {
  readonly random: Random
  readonly roster: Roster
  readonly membership: Membership
}

/** Probes one member per interval, in rounds; the silent are accused. */
export class Prober {
  readonly #parts: ProberParts
  readonly #ticker: Ticker
  #probe: Probe | undefined
  /** A tick that fell due during a probe is made up for right after it, but only one. */
  #owed = false

  constructor(parts: ProberParts) {
    this.#parts = parts
    const { clock, random, config } = parts
    this.#ticker = new Ticker(
      clock,
      random,
      () => config.probeIntervalMs,
      () => this.#tick(),
    )
  }

  start(): void {
    this.#ticker.start()
  }

  stop(): void {
    this.#ticker.stop()
    this.#probe?.cancel()
    this.#probe = undefined
  }

  #tick(): void {
    if (this.#probe === undefined) this.#next()
    else this.#owed = true
  }

  #next(): void {
    const { roster, membership } = this.#parts
    const self = membership.self.name
    const target = roster.nextInRound(
      (member) => isPresent(member) && member.name !== self,
      (member) => this.#expired(member),
    )
    if (target === undefined) return
    this.#probe = new Probe(this.#parts, target, (outcome) => {
      this.#probe = undefined
      if (outcome === 'silent') membership.accuse(target)
      if (!this.#owed) return
      this.#owed = false
      this.#next()
    })
  }

  #expired(member: Member): boolean {
    const { clock, config, membership } = this.#parts
    const gone = !isPresent(member) && member.name !== membership.self.name
    return gone && clock.now() - member.since > config.gossipToTheDeadMs
  }
}
