import { poolsClash } from '../../net/pool-key.ts'
import { cidrsOverlap } from '../../net/cidr.ts'
import { blockOf } from '../../net/pool-geometry.ts'
import { geometryOfKey, type Item, itemKey, parseItemKey, poolNameOf } from './items.ts'
import type { Holder } from './roster.ts'

/** Whom a voter has given its vote for an item, with the number of the claim it was given to. */
export type Holders = ReadonlyMap<Holder, number>

/** One line of the book. */
export interface Vote {
  readonly item: Item
  readonly holder: Holder
  readonly claim: number
}

/** A voter's answer for one item. `taken` are addresses in a granted block that others hold one by one. */
export type Verdict =
  | { readonly granted: true; readonly taken: readonly Vote[] }
  | { readonly granted: false; readonly holder: Holder; readonly held: Item }

const nobody: Holders = new Map()

/**
 * The votes one voter has given. An item's vote goes to the first that asks and to nobody else until it is
 * given back. Several holders of one item only come from merging the books of others at a change of the
 * roster, when it cannot be told whose claim succeeded: then nobody new gets the vote until all but one gave it back.
 *
 * Pure: no message, no disk. Methods that change the book return whether they did; the caller writes it down.
 */
export class VoteBook {
  readonly #items = new Map<string, Map<Holder, number>>()
  /** By kind and pool the numbers of the items that have votes. */
  readonly #numbers = {
    block: new Map<string, Set<number>>(),
    address: new Map<string, Set<number>>(),
    pool: new Map<string, Set<number>>(),
  }

  holders(item: Item): Holders {
    return this.#items.get(itemKey(item)) ?? nobody
  }

  /** The holder other than `holder`, if there is one. */
  otherHolder(item: Item, holder: Holder): Holder | null {
    for (const other of this.holders(item).keys()) if (other !== holder) return other
    return null
  }

  /** What the rules say to `holder`'s wish for `item`. Changes nothing. */
  judge(item: Item, holder: Holder, exclusive: boolean): Verdict {
    const other = this.otherHolder(item, holder)
    if (item.kind === 'pool') return this.#judgePool(item, holder, exclusive)
    if (other !== null) return { granted: false, holder: other, held: item }
    return { granted: true, taken: item.kind === 'block' ? this.addressesIn(item, holder) : [] }
  }

  /** The items of one kind in a pool that have votes. */
  *itemsOf(kind: Item['kind'], poolKey: string): Iterable<Item> {
    for (const number of this.#numbers[kind].get(poolKey) ?? []) yield { kind, poolKey, number }
  }

  /** Votes for single addresses of a block that others than `holder` have. */
  addressesIn(block: Item, holder: Holder): Vote[] {
    const geometry = geometryOfKey(block.poolKey)
    const taken: Vote[] = []
    for (const item of this.itemsOf('address', block.poolKey)) {
      if (blockOf(geometry, item.number) !== block.number) continue
      for (const [other, claim] of this.holders(item)) {
        if (other !== holder) taken.push({ item, holder: other, claim })
      }
    }
    return taken
  }

  /** Writes down a vote. A later claim of the same holder replaces an earlier one. */
  add({ item, holder, claim }: Vote): boolean {
    const key = itemKey(item)
    const holders = this.#items.get(key) ?? new Map<Holder, number>()
    if ((holders.get(holder) ?? -1) >= claim) return false
    holders.set(holder, claim)
    this.#items.set(key, holders)
    this.#index(item)
    return true
  }

  /** Takes a vote back, unless it was given to a claim later than `claim`. */
  free({ item, holder, claim }: Vote): boolean {
    const key = itemKey(item)
    const holders = this.#items.get(key)
    const given = holders?.get(holder)
    if (holders === undefined || given === undefined || given > claim) return false
    holders.delete(holder)
    if (holders.size === 0) this.#forget(item, key)
    return true
  }

  *votes(): Iterable<Vote> {
    for (const [key, holders] of this.#items) {
      const item = parseItemKey(key)!
      for (const [holder, claim] of holders) yield { item, holder, claim }
    }
  }

  /** How many items have a vote. */
  get size(): number {
    return this.#items.size
  }

  #judgePool(item: Item, holder: Holder, exclusive: boolean): Verdict {
    const name = poolNameOf(item.poolKey)
    for (const poolKey of this.#numbers.pool.keys()) {
      const other = poolNameOf(poolKey)
      const clash = exclusive ? cidrsOverlap(name.cidr, other.cidr) : poolsClash(name, other)
      const held: Item = { kind: 'pool', poolKey, number: 0 }
      const rival = clash ? this.otherHolder(held, holder) : null
      if (rival !== null) return { granted: false, holder: rival, held }
    }
    return { granted: true, taken: [] }
  }

  #index({ kind, poolKey, number }: Item): void {
    const numbers = this.#numbers[kind].get(poolKey) ?? new Set<number>()
    this.#numbers[kind].set(poolKey, numbers.add(number))
  }

  #forget({ kind, poolKey, number }: Item, key: string): void {
    this.#items.delete(key)
    const numbers = this.#numbers[kind].get(poolKey)
    numbers?.delete(number)
    if (numbers?.size === 0) this.#numbers[kind].delete(poolKey)
  }
}
