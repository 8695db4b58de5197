import { retransmitLimit } from '../../rules/formulas.ts'

/** Something to tell everybody, a limited number of times. */
export interface Broadcast {
  /** The message, type byte included. Never empty. */
  readonly message: Uint8Array
  /** A later broadcast of the same name replaces this one. */
  readonly name: string | undefined
  /** Called once: when it was sent often enough (true), or was replaced or dropped (false). */
  readonly onFinished: ((sent: boolean) => void) | undefined
}

interface Item extends Broadcast {
  readonly order: number
  transmits: number
}

/**
 * The broadcasts that wait to be piggybacked. Those sent least come first; among them the longest,
 * then the newest, so that packets are filled well and news travels before old hat.
 */
export class BroadcastQueue {
  /** tiers[t] holds what was sent t times, longest first, then newest. */
  readonly #tiers: Item[][] = []
  readonly #byName = new Map<string, Item>()
  readonly #retransmitMult: number
  readonly #members: () => number
  readonly #capacity: number
  #order = 0
  #size = 0

  /**
   * `members` tells the size of the cluster; at more than `capacity` items those sent most are
   * dropped.
   */
  constructor(retransmitMult: number, members: () => number, capacity = Infinity) {
    this.#retransmitMult = retransmitMult
    this.#members = members
    this.#capacity = capacity
  }

  get size(): number {
    return this.#size
  }

  add(broadcast: Broadcast): void {
    const { name, message, onFinished } = broadcast
    const old = name === undefined ? undefined : this.#byName.get(name)
    if (old !== undefined) this.#drop(old)
    const item: Item = { name, message, onFinished, order: this.#order++, transmits: 0 }
    this.#insert(item)
    if (name !== undefined) this.#byName.set(name, item)
    while (this.#size > this.#capacity) this.#dropMostSent()
  }

  /**
   * The messages for one packet: as many as fit into `limit` bytes with `overhead` bytes each, at
   * most `count`. Each one taken counts as sent once more.
   */
  take(overhead: number, limit: number, count: number): Uint8Array[] {
    const taken: Item[] = []
    let room = limit - overhead
    for (const tier of this.#tiers) {
      for (let at = firstFitting(tier, room); at < tier.length && taken.length < count;) {
        const [item] = tier.splice(at, 1)
        taken.push(item!)
        room -= item!.message.length + overhead
        at = Math.max(at, firstFitting(tier, room))
      }
    }
    const sendings = retransmitLimit(this.#retransmitMult, this.#members())
    for (const item of taken) this.#sentOnce(item, sendings)
    return taken.map((item) => item.message)
  }

  /** Drops everything. */
  clear(): void {
    for (const item of this.#tiers.flat()) this.#drop(item)
  }

  #sentOnce(item: Item, sendings: number): void {
    this.#size--
    item.transmits++
    if (item.transmits < sendings) return this.#insert(item)
    this.#forgetName(item)
    item.onFinished?.(true)
  }

  #insert(item: Item): void {
    while (this.#tiers.length <= item.transmits) this.#tiers.push([])
    const tier = this.#tiers[item.transmits]!
    tier.splice(position(tier, item), 0, item)
    this.#size++
  }

  #drop(item: Item): void {
    const tier = this.#tiers[item.transmits]!
    const at = tier.indexOf(item)
    if (at < 0) return
    tier.splice(at, 1)
    this.#size--
    this.#forgetName(item)
    item.onFinished?.(false)
  }

  #dropMostSent(): void {
    const tier = this.#tiers.findLast((items) => items.length > 0)
    const oldest = tier?.reduce((a, b) => (a.order < b.order ? a : b))
    if (oldest !== undefined) this.#drop(oldest)
  }

  #forgetName(item: Item): void {
    if (item.name !== undefined && this.#byName.get(item.name) === item) {
      this.#byName.delete(item.name)
    }
  }
}

/** Where in a tier the first message of at most `room` bytes stands. */
function firstFitting(tier: readonly Item[], room: number): number {
  return search(tier, (item) => item.message.length <= room)
}

function position(tier: readonly Item[], item: Item): number {
  const length = item.message.length
  return search(
    tier,
    (other) =>
      other.message.length < length ||
      (other.message.length === length && other.order < item.order),
  )
}

/** The first index at which `holds`, given that it holds from there on. */
function search(tier: readonly Item[], holds: (item: Item) => boolean): number {
  let [low, high] = [0, tier.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (holds(tier[middle]!)) high = middle
    else low = middle + 1
  }
  return low
}
