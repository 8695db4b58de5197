import { Refused } from './section.ts'

interface Claim<T> {
  readonly value: T
  /** Members by number. */
  readonly holders: Set<number>
}

export interface ClaimsSnapshot<T> {
  readonly claims: readonly (readonly [key: string, value: T, holders: readonly number[]])[]
  readonly grants: readonly (readonly [member: number, grant: number])[]
}

/**
 * Values by key that members hold together: the first one settles the value, and it is gone with
 * the last. A member's grant is the place in the log where it last asked for something; a release
 * names it, so one that is late ends nothing that was asked for since.
 */
export class Claims<T> {
  readonly #claims = new Map<string, Claim<T>>()
  readonly #grants = new Map<number, number>()
  readonly #max: number
  readonly #maxPerMember: number

  constructor(max: number, maxPerMember: number) {
    this.#max = max
    this.#maxPerMember = maxPerMember
  }

  get(key: string): T | undefined {
    return this.#claims.get(key)?.value
  }

  /** One of those that hold it. */
  someHolder(key: string): number | undefined {
    return this.#claims.get(key)?.holders.values().next().value
  }

  *entries(): Iterable<[key: string, value: T]> {
    for (const [key, { value }] of this.#claims) yield [key, value]
  }

  /** What a member holds. */
  *heldBy(member: number): Iterable<[key: string, value: T]> {
    for (const [key, { value, holders }] of this.#claims) {
      if (holders.has(member)) yield [key, value]
    }
  }

  /** 0 while the member never held anything. */
  grantOf(member: number): number {
    return this.#grants.get(member) ?? 0
  }

  /** The value, `value()` when it is new. Refuses with QUOTA. */
  hold(key: string, member: number, grant: number, value: () => T): T {
    const known = this.#claims.get(key)
    if (known?.holders.has(member) !== true) {
      const isFull = known === undefined && this.#claims.size >= this.#max
      if (isFull || [...this.heldBy(member)].length >= this.#maxPerMember)
        throw new Refused('QUOTA')
    }
    const claim = known ?? { value: value(), holders: new Set() }
    this.#claims.set(key, claim)
    claim.holders.add(member)
    this.#grants.set(member, grant)
    return claim.value
  }

  /** The member does not hold it any more, if that is its grant. */
  release(key: string, member: number, grant: number): void {
    const claim = this.#claims.get(key)
    if (this.grantOf(member) !== grant || claim?.holders.delete(member) !== true) return
    if (claim.holders.size === 0) this.#claims.delete(key)
  }

  /** The member holds nothing any more. */
  drop(member: number): void {
    for (const [key] of this.heldBy(member)) this.release(key, member, this.grantOf(member))
    this.#grants.delete(member)
  }

  snapshot(): ClaimsSnapshot<T> {
    return {
      claims: Array.from(this.#claims, ([key, { value, holders }]) => [key, value, [...holders]]),
      grants: [...this.#grants],
    }
  }

  restore({ claims, grants }: ClaimsSnapshot<T>): void {
    this.#claims.clear()
    this.#grants.clear()
    for (const [key, value, holders] of claims) {
      this.#claims.set(key, { value, holders: new Set(holders) })
    }
    for (const [member, grant] of grants) this.#grants.set(member, grant)
  }
}
