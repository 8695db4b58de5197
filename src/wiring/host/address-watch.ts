/**
 * Whether this host still has the address that the others know it by. One that is away for a moment
 * (a lease renewed, an interface restarted) is no change.
 */
import type { Clock } from '../../base/clock.ts'
import { isBug } from '../../base/errors.ts'
import type { RoomFindings } from '../../base/findings.ts'
import { Every } from '../../base/timers.ts'
import type { Ip } from '../../net/ip.ts'
import type { HostAddress } from '../ports/plugin-ports.ts'

/** Between two looks while the address is there. */
const calmMs = 600
/** And while it is not: a new address counts at the second look. */
const lookMs = 300
/** An address that is away for this long is a finding, ms. */
const maxAwayMs = 5000

interface AddressWatchParts extends HostAddress {
  readonly clock: Clock
  readonly findings: RoomFindings
  readonly address: Ip
  /** Rejects when no interface of this host has the address. */
  readonly check: (address: Ip) => Promise<unknown>
}

const lost = { code: 'ADDRESS_LOST', subject: 'host' } as const

export class AddressWatch {
  readonly #parts: AddressWatchParts
  readonly #looks: Every
  /** Seen at the last look, in place of ours. */
  #next: Ip | null = null
  #awayMs = 0

  constructor(parts: AddressWatchParts) {
    this.#parts = parts
    const intervalMs = (): number => (this.#awayMs > 0 ? lookMs : calmMs)
    this.#looks = new Every({ clock: parts.clock, intervalMs, run: () => this.#look() })
  }

  start(): void {
    this.#looks.start()
  }

  stop(): void {
    this.#looks.stop()
  }

  async #look(): Promise<void> {
    const { address, routed, moved, findings } = this.#parts
    if (await this.#has(address)) {
      this.#next = null
      this.#awayMs = 0
      return findings.clear(lost)
    }
    this.#awayMs += lookMs
    const found = routed === null ? null : await routed().catch(orNull)
    const next = found !== null && (await this.#has(found)) ? found : null
    if (next !== null && next === this.#next) {
      this.stop()
      return moved(next)
    }
    this.#next = next
    if (this.#awayMs >= maxAwayMs) this.#raise()
  }

  async #has(address: Ip): Promise<boolean> {
    return (await this.#parts.check(address).catch(orNull)) !== null
  }

  #raise(): void {
    const { address, routed, findings } = this.#parts
    const text = `no interface of this host has ${address} any more, so no other host reaches it`
    const remedy =
      routed === null
        ? 'give the interface its address back, or set ADVERTISE_ADDR or DATA_ADDR to the one that it has'
        : "give the default route's interface an address: the plugin takes it by itself"
    findings.raise({ ...lost, text, remedy })
  }
}

function orNull(error: unknown): null {
  if (isBug(error)) throw error
  return null
}
