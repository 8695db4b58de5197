import type { Clock } from '../../ports/clock.ts'
import type { SocketAddress } from '../../socket-address.ts'
import { MAX_FAILED_MEMBERS } from '../../limits.ts'
import type { Member } from '../../member.ts'

/**
 * Times that somebody answers at the address of a lost member without the member coming back; then
 * somebody else lives there now.
 */
const MAX_FRUITLESS_CONTACTS = 5

export interface FailedMember {
  readonly name: string
  readonly endpoint: SocketAddress
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

  add({ name, address, port }: Member): void {
    this.#members.delete(name)
    const since = this.#clock.now()
    this.#members.set(name, { name, endpoint: { address, port }, since, fruitless: 0 })
    const [oldest] = this.#members.keys()
    if (this.#members.size > MAX_FAILED_MEMBERS && oldest !== undefined)
      this.#members.delete(oldest)
  }

  /** Returns whether it was lost. */
  delete(name: string): boolean {
    return this.#members.delete(name)
  }

  get size(): number {
    return this.#members.size
  }

  has(name: string): boolean {
    return this.#members.has(name)
  }

  /** Somebody answered where `lost` was, but it did not come back. */
  contactedInVain(lost: FailedMember): void {
    if (++lost.fruitless >= MAX_FRUITLESS_CONTACTS) this.#members.delete(lost.name)
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
