import { messageOf, refusal } from '../../base/errors.ts'
import type { Ip } from '../../net/ip.ts'
import type { Context } from '../context.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import { addressAt } from '../pools/pool-geometry.ts'
import type { MemberState } from '../ports.ts'
import { addressItem, type Item, itemKey } from '../voting/items.ts'
import { itemsMost } from '../voting/messages.ts'
import { nameOfHolder, voterNamed } from '../voting/roster.ts'
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

/**
 * Addresses that two hosts use. That happens to members that were forgotten while their containers ran, and to clusters that lived
 * apart; nothing is taken from anybody. The side that finds out tells the other, and each reports it: in its state, once in
 * its log, and once in the error of the next request for an address of the pool.
 */
export class Conflicts {
  readonly #context: Context
  /** By address what our own claims met; it holds while the lease they were for is the same. */
  readonly #met = new Map<string, { item: Item; lease: Lease; member: string }>()
  /** By member what it told us that it uses too, and when. */
  readonly #told = new Map<string, { items: readonly Item[]; at: number }>()
  /** Those we told, to be told as well when there is nothing any more. */
  readonly #informed = new Set<string>()
  readonly #clashes = new Map<string, string>()
  readonly #logged = new Set<string>()
  readonly #said = new Set<string>()

  constructor(context: Context) {
    this.#context = context
  }

  /** Our claim for an address that a container here has was refused: `member` has it. */
  meet(pool: HeldPool, offset: number, lease: Lease, member: string): void {
    const item = addressItem(pool.key, offset)
    this.#met.set(itemKey(item), { item, lease, member })
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

  /** Another member says that containers of its own have these addresses, which it thinks are ours. */
  hear(member: string, items: readonly Item[]): void {
    this.#told.set(member, { items, at: this.#context.clock.now() })
    this.#log()
  }

  /** What is so now. */
  current(): Conflict[] {
    const conflicts = [...this.#found(), ...this.#toldNow()].map(({ item, member }) => {
      const pool = this.#context.shelf.held(item.poolKey)!
      return { poolKey: item.poolKey, ip: addressAt(pool.geometry, item.number), member }
    })
    return [...new Map(conflicts.map((conflict) => [keyOf(conflict), conflict])).values()]
  }

  /** Logs what is new, and tells the others concerned of what we found; what fails is said again at the next step. */
  async step(): Promise<void> {
    this.#log()
    const byMember = new Map<string, Item[]>(Array.from(this.#informed, (member) => [member, []]))
    for (const { item, member } of this.#found()) {
      byMember.set(member, [...(byMember.get(member) ?? []), item])
    }
    const { logger, wire } = this.#context
    const tell = async (member: string, items: readonly Item[]): Promise<void> => {
      if (items.length > 0) this.#informed.add(member)
      const keys = items.slice(0, itemsMost).map((item) => itemKey(item))
      await wire.ask(member, { kind: 'conflicts', items: keys })
      if (items.length === 0) this.#informed.delete(member)
    }
    const told = Array.from(byMember, ([member, items]) => {
      return tell(member, items).catch((error: unknown) => {
        logger.debug('could not tell of a conflict', { member, error: messageOf(error) })
        if (!wire.states().has(member)) this.#informed.delete(member)
      })
    })
    await Promise.all(told)
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

  /** Ours by our own finding: what was refused us, and what our own block lends although a container here has it. */
  *#found(): Iterable<{ item: Item; member: string }> {
    const { seat, shelf } = this.#context
    for (const [key, { item, lease, member }] of this.#met) {
      const pool = shelf.held(item.poolKey)
      const lasts = pool?.leases.get(item.number) === lease && !pool.ownsOffset(item.number)
      if (lasts) yield { item, member }
      else this.#met.delete(key)
    }
    for (const pool of shelf.allHeld()) {
      for (const [offset] of pool.leases.entries()) {
        if (!pool.ownsOffset(offset)) continue
        const item = addressItem(pool.key, offset)
        const other = seat.book.otherHolder(item, seat.holder)
        if (other !== null) yield { item, member: nameOfHolder(other) }
      }
    }
  }

  /** What others found, as far as we have such a container still. */
  *#toldNow(): Iterable<{ item: Item; member: string }> {
    const states = this.#context.wire.states()
    for (const [member, { items, at }] of this.#told) {
      if (!this.#stands(member, at, states.get(member))) this.#told.delete(member)
      else {
        for (const item of items) {
          const lease = this.#context.shelf.held(item.poolKey)?.leases.get(item.number)
          if (lease !== undefined) yield { item, member }
        }
      }
    }
  }

  /** The word of one that is away stands while it has its seat: its containers may run. */
  #stands(member: string, at: number, state: MemberState['state'] | undefined): boolean {
    const { clock, seat } = this.#context
    if (state !== 'dead') return state !== undefined && clock.now() - at < toldMs
    return seat.roster !== null && voterNamed(seat.roster, member) !== undefined
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
