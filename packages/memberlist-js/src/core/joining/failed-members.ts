import type { Clock } from '../../ports/clock.ts'
import { MAX_FAILED_MEMBERS } from '../../limits.ts'
import type { Member } from '../../member.ts'

/**
 * Connections that succeed at the address of a failed member without the member coming back; then
 * another process has the address now.
 */
const MAX_FRUITLESS_CONTACTS = 5

export interface FailedMember {
  readonly member: Member
  readonly since: number
  fruitless: number
}

/** The members that failed and may come back. They outlive their place in the roster. */
export class FailedMembers {
  readonly #clock: Clock
  readonly #forgetAfterMs: number
  /** Oldest first. */
  readonly #members = new Map<string, FailedMember>()

  constructor(clock: Clock, forgetAfterMs: number) {
    this.#clock = clock
    this.#forgetAfterMs = forgetAfterMs
  }

  add(member: Member): void {
    this.#members.delete(member.name)
    this.#members.set(member.name, { member, since: this.#clock.now(), fruitless: 0 })
    const [oldest] = this.#members.keys()
    if (this.#members.size > MAX_FAILED_MEMBERS && oldest !== undefined)
      this.#members.delete(oldest)
  }

  /** Returns whether it had failed. */
  delete(name: string): boolean {
    return this.#members.delete(name)
  }

  get size(): number {
    return this.#members.size
  }

  has(name: string): boolean {
    return this.#members.has(name)
  }

  /** Its address answered, but the member did not come back. */
  contactedFruitlessly(failed: FailedMember): void {
    if (++failed.fruitless >= MAX_FRUITLESS_CONTACTS) this.#members.delete(failed.member.name)
  }

  /** Those that are still worth looking for. */
  current(): FailedMember[] {
    const oldest = this.#clock.now() - this.#forgetAfterMs
    for (const [name, { since }] of this.#members) {
      if (since < oldest) this.#members.delete(name)
    }
    return [...this.#members.values()]
  }
}
