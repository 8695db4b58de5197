import type { Clock, Timer } from '../../base/clock.ts'
import { type AuditReport, type Drift, addDrift, noDrift } from './audit.ts'

interface AuditsParts {
  readonly clock: Clock
  readonly intervalMs: number
  /** Audits everything; its rejection is a bug. */
  readonly audit: () => Promise<AuditReport[]>
}

/** When audits are made, and what they came to since the start. */
export class AuditSchedule {
  readonly #parts: AuditsParts
  #timer: Timer | null = null
  #stopped = false
  #drift: Drift = noDrift
  #count = 0
  #lastAt: string | null = null

  constructor(parts: AuditsParts) {
    this.#parts = parts
  }

  get figures(): { drift: Drift; audits: number; lastAuditAt: string | null } {
    return { drift: this.#drift, audits: this.#count, lastAuditAt: this.#lastAt }
  }

  /** Has one made an interval from now, and again an interval after each. */
  start(): void {
    this.#stopped = false
    this.#schedule()
  }

  stop(): void {
    this.#stopped = true
    if (this.#timer !== null) this.#parts.clock.clearTimeout(this.#timer)
    this.#timer = null
  }

  /** One overlay was audited and had drifted that much. */
  noteDrift(drift: Drift): void {
    this.#drift = addDrift(this.#drift, drift)
  }

  /** All overlays were audited. */
  noteRound(): void {
    this.#count++
    this.#lastAt = new Date(this.#parts.clock.wall()).toISOString()
  }

  #schedule(): void {
    if (this.#stopped) return
    this.#timer = this.#parts.clock.setTimeout(() => {
      void this.#parts.audit().finally(() => this.#schedule())
    }, this.#parts.intervalMs)
  }
}
