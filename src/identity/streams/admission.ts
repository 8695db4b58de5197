import type { Clock } from '../../base/clock.ts'
import { SourceBudgets } from './source-budgets.ts'

/**
 * Connections whose other side has not shown who it is yet. Each costs some 50 KB and a
 * millisecond.
 */
const maxPending = 64
/** Of these, this many only for addresses of members: others cannot take them. */
const keptForMembers = 32
/** From one address at a time. */
const maxPendingPerSource = 8
/** How often an address that is no member's may connect. */
const nonMembers = { perSecond: 5, burst: 20 }

/**
 * Who may begin a handshake: bounded in all, by source address, and by source address over time.
 */
export class Admission {
  readonly #isMember: (address: string) => boolean
  readonly #pending = new Map<string, number>()
  readonly #nonMembers: SourceBudgets
  #total = 0

  constructor(clock: Clock, isMember: (address: string) => boolean) {
    this.#isMember = isMember
    this.#nonMembers = new SourceBudgets(clock, nonMembers)
  }

  /**
   * Takes a slot, to be given back by calling the result; null when there is none for that address.
   */
  enter(address: string): (() => void) | null {
    const pending = this.#pending.get(address) ?? 0
    if (pending >= maxPendingPerSource) return null
    const isMember = this.#isMember(address)
    if (this.#total >= maxPending - (isMember ? 0 : keptForMembers)) return null
    if (!isMember && !this.#nonMembers.take(address)) return null
    this.#pending.set(address, pending + 1)
    this.#total++
    return () => this.#leave(address)
  }

  #leave(address: string): void {
    this.#total--
    const pending = this.#pending.get(address)! - 1
    if (pending === 0) this.#pending.delete(address)
    else this.#pending.set(address, pending)
  }
}
