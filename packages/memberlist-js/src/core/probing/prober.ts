import { Probe, type ProbeParts } from './probe.ts'
import type { Random } from '../../ports/random.ts'
import { ProbeOrder, type ProbeOrderParts } from './probe-order.ts'
import { Ticker } from '../ticker.ts'

export interface ProberParts extends ProbeParts, ProbeOrderParts {
  readonly random: Random
}

/** Probes one member per interval; the silent are accused. */
export class Prober {
  readonly #parts: ProberParts
  readonly #ticker: Ticker
  readonly #order: ProbeOrder
  #probe: Probe | undefined
  /** A tick that fell due during a probe is made up for right after it, but only one. */
  #owed = false

  constructor(parts: ProberParts) {
    this.#parts = parts
    this.#order = new ProbeOrder(parts)
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
    const target = this.#order.next()
    if (target === undefined) return
    this.#probe = new Probe(this.#parts, target, (outcome) => {
      this.#probe = undefined
      if (outcome === 'silent') this.#parts.membership.accuse(target)
      if (!this.#owed) return
      this.#owed = false
      this.#next()
    })
  }
}
