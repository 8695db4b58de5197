/** Two addresses claim one name: the member has moved, or there are two hosts of that name. */
import type { Clock } from '../../base/clock.ts'

interface Claimant {
  readonly name: string
  readonly address: string
  readonly port: number
}

/** Whether the member of that name answers there. */
export type IsAt = (
  name: string,
  endpoint: { readonly address: string; readonly port: number },
) => Promise<boolean>

/** `known` is the address of the one that is a member. */
export type NameClash = (name: string, known: string, claimant: string) => void

interface MemberMovesParts<C extends Claimant> {
  readonly clock: Clock
  readonly self: string
  readonly isAt: IsAt
  readonly onNameClash: NameClash
  /** The member is at the claimant's address from now on. */
  readonly accept: (claimant: C) => void
}

/** A name is looked at again after this, ms: what gossip repeats comes within it. */
const minCheckMs = 1000
/** Members can be made to dial an address by a claim: a few at a time. */
const maxChecks = 8
/** Names that are remembered. */
const maxNames = 256

export class MemberMoves<C extends Claimant> {
  readonly #parts: MemberMovesParts<C>
  /** When each name was last looked at. */
  readonly #checkedMs = new Map<string, number>()
  #checks = 0

  constructor(parts: MemberMovesParts<C>) {
    this.#parts = parts
  }

  /** Looks who answers at both addresses; claims of a name that come meanwhile are passed over. */
  check(known: Claimant, claimant: C): void {
    const now = this.#parts.clock.now()
    const last = this.#checkedMs.get(known.name) ?? -Infinity
    if (this.#checks >= maxChecks || now - last < minCheckMs) return
    this.#checkedMs.delete(known.name)
    this.#checkedMs.set(known.name, now)
    const [oldest] = this.#checkedMs.keys()
    if (this.#checkedMs.size > maxNames) this.#checkedMs.delete(oldest!)
    this.#checks++
    void this.#decide(known, claimant).finally(() => this.#checks--)
  }

  async #decide(known: Claimant, claimant: C): Promise<void> {
    const { self, isAt, onNameClash, accept } = this.#parts
    const { name } = known
    const [isThere, isStill] = await Promise.all([
      isAt(name, claimant),
      name === self || isAt(name, known),
    ])
    if (isThere && isStill) onNameClash(name, known.address, claimant.address)
    else if (isThere) accept(claimant)
  }
}
