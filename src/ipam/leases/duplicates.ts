import type { Clock } from '../../base/clock.ts'
import { attempt, refusal } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Ip } from '../../net/ip.ts'
import { type Item, maxItems, type PeerRequests } from '../peer-requests.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { PoolTable } from '../pools/pool-table.ts'
import type { Lease } from './lease-table.ts'

/** An address that a container of this host and one of another member have. */
export interface Duplicate {
  readonly poolKey: string
  readonly ip: Ip
  readonly member: string
}

/**
 * What another member told us is believed for this long, ms; it tells us again at each step, while
 * it lives.
 */
const reportedMs = 30_000
/** More addresses than this are not named in one error. */
const maxNamed = 5

/** An address that a container here has, and a member that seems to have it too. */
interface Suspect {
  readonly item: Item
  readonly lease: Lease
  readonly member: string
  /** The member said that a container of its own has it. */
  confirmed: boolean
}

interface DuplicateParts {
  readonly self: string
  readonly pools: PoolTable
  readonly peers: PeerRequests
  /** Names of the members that were not evicted, as agreed. */
  readonly members: () => Promise<readonly string[]>
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Addresses that two hosts use. That happens to members that were evicted while their containers
 * ran, and to clusters that lived apart; nothing is taken from either. The side that finds out asks
 * the other, and each reports it: in its state, once in its log, and once in the error of the next
 * request for an address of the pool.
 */
export class Duplicates {
  readonly #parts: DuplicateParts
  readonly #suspects = new Map<string, Suspect>()
  /** By member the addresses that it asked us about and that we use, and when that was. */
  readonly #reported = new Map<string, { items: readonly Item[]; at: number }>()
  /** Members that we asked, to be told as well when there is nothing any more. */
  readonly #asked = new Set<string>()
  readonly #logged = new Set<string>()
  readonly #raised = new Set<string>()

  constructor(parts: DuplicateParts) {
    this.#parts = parts
  }

  /** The voters do not give us an address that a container here has: `member` seems to have it. */
  suspect(pool: LocalPool, offset: number, lease: Lease, member: string): void {
    const item = { pool: pool.key, offset }
    const known = this.#suspects.get(keyOfItem(item))
    if (known?.lease === lease && known.member === member) return
    this.#suspects.set(keyOfItem(item), { item, lease, member, confirmed: false })
  }

  /**
   * Another member says that containers of its own have these addresses. Those that ours have too.
   */
  hear(member: string, items: readonly Item[]): Item[] {
    const doubled = items.filter((item) => this.#isLeased(item))
    this.#reported.set(member, { items: doubled, at: this.#parts.clock.now() })
    this.#log()
    return doubled
  }

  /** What is so now. */
  current(): Duplicate[] {
    const confirmed = [...this.#lasting()].filter((suspect) => suspect.confirmed)
    const duplicates = [...confirmed, ...this.#reportedNow()].map(({ item, member }) => {
      const pool = this.#parts.pools.get(item.pool)!
      return { poolKey: item.pool, ip: pool.addressAt(item.offset), member }
    })
    return [...new Map(duplicates.map((duplicate) => [keyOf(duplicate), duplicate])).values()]
  }

  /** Asks the others concerned; one that does not answer is asked again at the next step. */
  async step(): Promise<void> {
    await this.#forgetEvicted()
    const byMember = new Map<string, Suspect[]>(Array.from(this.#asked, (member) => [member, []]))
    for (const suspect of this.#lasting()) {
      byMember.set(suspect.member, [...(byMember.get(suspect.member) ?? []), suspect])
    }
    await Promise.all(Array.from(byMember, ([member, suspects]) => this.#ask(member, suspects)))
    this.#log()
  }

  /**
   * Throws ADDRESS_CONFLICT with those of the pool that no error has named yet; each is named once.
   */
  raise(poolKey: string): void {
    const unsaid = this.current().filter(
      (duplicate) => duplicate.poolKey === poolKey && !this.#raised.has(keyOf(duplicate)),
    )
    if (unsaid.length === 0) return
    for (const duplicate of unsaid) this.#raised.add(keyOf(duplicate))
    const named = unsaid.slice(0, maxNamed).map(({ ip, member }) => `${ip} (also on ${member})`)
    const more = unsaid.length > maxNamed ? ` and ${unsaid.length - maxNamed} more` : ''
    throw refusal(
      'ADDRESS_CONFLICT',
      `containers of ${this.#parts.self} and of other members have the same addresses of pool ${poolKey}: ` +
        `${named.join(', ')}${more}. Restart one of each two to give it another address. ` +
        'This request was not served, so that somebody reads this; it is said once, try again',
    )
  }

  /** The word of a dead member stands until it is evicted: its containers may run. */
  async #forgetEvicted(): Promise<void> {
    const { members, peers } = this.#parts
    const dead = [...this.#reported.keys()].filter((member) => peers.state(member) === 'dead')
    if (dead.length === 0) return
    const known = await members()
    for (const member of dead) if (!known.includes(member)) this.#reported.delete(member)
  }

  async #ask(member: string, suspects: readonly Suspect[]): Promise<void> {
    const { logger, peers } = this.#parts
    if (suspects.length > 0) this.#asked.add(member)
    const items = suspects.slice(0, maxItems).map(({ item }) => item)
    await attempt(
      async () => {
        const answer = await peers.ask(member, { kind: 'duplicates', items })
        const doubled = new Set(answer.items.map((item) => keyOfItem(item)))
        for (const suspect of suspects) suspect.confirmed = doubled.has(keyOfItem(suspect.item))
        if (suspects.length === 0) this.#asked.delete(member)
      },
      (error) => {
        logger.debug('could not ask about a duplicate address', { member, error })
        if (peers.state(member) === undefined) this.#asked.delete(member)
      },
    )
  }

  /** The suspects whose address is still the same container's, and not ours alone. */
  *#lasting(): Iterable<Suspect> {
    for (const [key, suspect] of this.#suspects) {
      const { item, lease } = suspect
      const pool = this.#parts.pools.get(item.pool)
      const isOpen =
        pool?.leases.get(item.offset) === lease &&
        (!pool.isBacked(item.offset, lease) || pool.agreed.lent.includes(item.offset))
      if (isOpen) yield suspect
      else this.#suspects.delete(key)
    }
  }

  *#reportedNow(): Iterable<{ item: Item; member: string }> {
    for (const [member, { items, at }] of this.#reported) {
      if (!this.#stands(member, at)) this.#reported.delete(member)
      else for (const item of items) if (this.#isLeased(item)) yield { item, member }
    }
  }

  #stands(member: string, at: number): boolean {
    const state = this.#parts.peers.state(member)
    if (state === 'dead') return true
    return state !== undefined && this.#parts.clock.now() - at < reportedMs
  }

  #isLeased({ pool, offset }: Item): boolean {
    return this.#parts.pools.get(pool)?.leases.get(offset) !== undefined
  }

  #log(): void {
    const duplicates = this.current()
    const keys = new Set(duplicates.map((duplicate) => keyOf(duplicate)))
    for (const key of this.#logged) if (!keys.has(key)) this.#logged.delete(key)
    for (const key of this.#raised) if (!keys.has(key)) this.#raised.delete(key)
    for (const duplicate of duplicates) {
      if (this.#logged.has(keyOf(duplicate))) continue
      this.#logged.add(keyOf(duplicate))
      this.#parts.logger.warn('a container here and one of another member have the same address', {
        ...duplicate,
      })
    }
  }
}

function keyOf({ poolKey, ip, member }: Duplicate): string {
  return `${ip} ${member} ${poolKey}`
}

function keyOfItem({ pool, offset }: Item): string {
  return `${offset} ${pool}`
}
