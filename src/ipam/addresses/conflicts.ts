import { isBug, messageOf, refusal } from '../../base/errors.ts'
import type { Ip } from '../../net/ip.ts'
import type { Context } from '../context.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import { addressAt } from '../../net/pool-geometry.ts'
import type { MemberState } from '../ports.ts'
import { addressItem, type Item, itemKey } from '../voting/items.ts'
import { itemsMost } from '../voting/messages.ts'
import { memberNamed, nameOfHolder } from '../voting/roster.ts'
import type { Lease } from './lease-table.ts'

/** An address that a container of this host and one of another member have. */
export interface Conflict {
  readonly poolKey: string
  readonly ip: Ip
  readonly member: string
}

/** What another member told us is believed for this long, ms; it tells us again at each of its steps, while it lives. */
const toldMs = 30_000
/** More addresses than this are not named in one error. */
const namedMost = 5

/** An address that a container here has, and a member that seems to have it too. */
interface Doubt {
  readonly item: Item
  readonly lease: Lease
  readonly member: string
  /** The member said that it uses it. A vote alone may be left from a claim that failed. */
  confirmed: boolean
}

/**
 * Addresses that two hosts use. That happens to members that were forgotten while their containers ran, and to clusters that lived
 * apart; nothing is taken from anybody. The side that finds out asks the other, and each reports it: in its state, once in
 * its log, and once in the error of the next request for an address of the pool.
 */
export class Conflicts {
  readonly #context: Context
  /** By address what our own claims and our own blocks tell. */
  readonly #doubts = new Map<string, Doubt>()
  /** By member the addresses that it asked us about and that we use, and when that was. */
  readonly #told = new Map<string, { items: readonly Item[]; at: number }>()
  /** Those we asked, to be told as well when there is nothing any more. */
  readonly #asked = new Set<string>()
  readonly #clashes = new Map<string, string>()
  readonly #logged = new Set<string>()
  readonly #said = new Set<string>()

  constructor(context: Context) {
    this.#context = context
  }

  /** Our claim for an address that a container here has was refused: `member` seems to have it. */
  doubt(pool: HeldPool, offset: number, lease: Lease, member: string): void {
    const item = addressItem(pool.key, offset)
    const known = this.#doubts.get(itemKey(item))
    if (known?.lease === lease && known.member === member) return
    this.#doubts.set(itemKey(item), { item, lease, member, confirmed: false })
  }

  /** A pool of ours that the others refuse; null when they have it. Said once. */
  clash(poolKey: string, error: string | null): void {
    if (error !== null && this.#clashes.get(poolKey) !== error) {
      const { logger } = this.#context
      logger.warn('a pool of this host clashes with another', { pool: poolKey, error })
    }
    if (error === null) this.#clashes.delete(poolKey)
    else this.#clashes.set(poolKey, error)
  }

  /** Another member says that containers of its own have these addresses. Those that ours have too. */
  hear(member: string, items: readonly Item[]): Item[] {
    const doubled = items.filter((item) => this.#leased(item))
    this.#told.set(member, { items: doubled, at: this.#context.clock.now() })
    this.#log()
    return doubled
  }

  /** What is so now. */
  current(): Conflict[] {
    const found = [...this.#lasting()].filter(({ confirmed }) => confirmed)
    const conflicts = [...found, ...this.#toldNow()].map(({ item, member }) => {
      const pool = this.#context.shelf.held(item.poolKey)!
      return { poolKey: item.poolKey, ip: addressAt(pool.geometry, item.number), member }
    })
    return [...new Map(conflicts.map((conflict) => [keyOf(conflict), conflict])).values()]
  }

  /** Asks the others concerned; who does not answer is asked again at the next step. */
  async step(): Promise<void> {
    this.#lookAtLent()
    const byMember = new Map<string, Doubt[]>(Array.from(this.#asked, (member) => [member, []]))
    for (const doubt of this.#lasting()) {
      byMember.set(doubt.member, [...(byMember.get(doubt.member) ?? []), doubt])
    }
    const asked = Array.from(byMember, ([member, doubts]) => this.#ask(member, doubts))
    await Promise.all(asked)
    this.#log()
  }

  /** Throws ADDRESS_CONFLICT with those conflicts of the pool that no error has named yet; each is named once. */
  raise(poolKey: string): void {
    const unsaid = this.current().filter(
      (conflict) => conflict.poolKey === poolKey && !this.#said.has(keyOf(conflict)),
    )
    if (unsaid.length === 0) return
    for (const conflict of unsaid) this.#said.add(keyOf(conflict))
    const named = unsaid.slice(0, namedMost).map(({ ip, member }) => `${ip} (also on ${member})`)
    const more = unsaid.length > namedMost ? ` and ${unsaid.length - namedMost} more` : ''
    throw refusal(
      'ADDRESS_CONFLICT',
      `containers of ${this.#context.cluster.self} and of other members have the same addresses of pool ${poolKey}: ` +
        `${named.join(', ')}${more}. Start one of each two again to give it another address. ` +
        'This request was not served, so that somebody reads this; it is said once, try again',
    )
  }

  async #ask(member: string, doubts: readonly Doubt[]): Promise<void> {
    const { logger, wire } = this.#context
    if (doubts.length > 0) this.#asked.add(member)
    const items = doubts.slice(0, itemsMost).map(({ item }) => itemKey(item))
    try {
      const { body } = await wire.ask(member, { kind: 'conflicts', items })
      if (body.kind !== 'doubled') return
      const doubled = new Set(body.items.map((item) => itemKey(item)))
      for (const doubt of doubts) doubt.confirmed = doubled.has(itemKey(doubt.item))
      if (doubts.length === 0) this.#asked.delete(member)
    } catch (error) {
      if (isBug(error)) throw error
      logger.debug('could not ask about a conflict', { member, error: messageOf(error) })
      if (!wire.states().has(member)) this.#asked.delete(member)
    }
  }

  /** Addresses of our own blocks that a container here has and that are lent as well. */
  #lookAtLent(): void {
    const { seat, shelf } = this.#context
    for (const pool of shelf.allHeld()) {
      for (const item of seat.book.itemsOf('address', pool.key)) {
        const lease = pool.leases.get(item.number)
        const other = seat.book.otherHolder(item, seat.holder)
        if (lease === undefined || other === null || !pool.ownsOffset(item.number)) continue
        this.doubt(pool, item.number, lease, nameOfHolder(other))
      }
    }
  }

  /** The doubts whose address is still the same container's, and not ours alone. */
  *#lasting(): Iterable<Doubt> {
    const { seat, shelf } = this.#context
    for (const [key, doubt] of this.#doubts) {
      const { item, lease } = doubt
      const pool = shelf.held(item.poolKey)
      const lent = seat.book.otherHolder(item, seat.holder) !== null
      const open = pool !== undefined && (lent || !pool.ownsOffset(item.number))
      if (open && pool.leases.get(item.number) === lease) yield doubt
      else this.#doubts.delete(key)
    }
  }

  *#toldNow(): Iterable<{ item: Item; member: string }> {
    const states = this.#context.wire.states()
    for (const [member, { items, at }] of this.#told) {
      if (!this.#stands(member, at, states.get(member))) this.#told.delete(member)
      else for (const item of items) if (this.#leased(item)) yield { item, member }
    }
  }

  /** The word of one that is away stands until it is forgotten: its containers may run. */
  #stands(member: string, at: number, state: MemberState['state'] | undefined): boolean {
    const { clock, seat } = this.#context
    if (state !== 'dead') return state !== undefined && clock.now() - at < toldMs
    return seat.roster !== null && memberNamed(seat.roster, member) !== undefined
  }

  #leased({ poolKey, number }: Item): boolean {
    return this.#context.shelf.held(poolKey)?.leases.get(number) !== undefined
  }

  #log(): void {
    const conflicts = this.current()
    const keys = new Set(conflicts.map((conflict) => keyOf(conflict)))
    for (const key of this.#logged) if (!keys.has(key)) this.#logged.delete(key)
    for (const key of this.#said) if (!keys.has(key)) this.#said.delete(key)
    for (const conflict of conflicts) {
      if (this.#logged.has(keyOf(conflict))) continue
      this.#logged.add(keyOf(conflict))
      this.#context.logger.warn(
        'a container here and one of another member have the same address',
        {
          ...conflict,
        },
      )
    }
  }
}

function keyOf({ poolKey, ip, member }: Conflict): string {
  return `${ip} ${member} ${poolKey}`
}
