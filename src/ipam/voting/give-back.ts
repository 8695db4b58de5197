import { isBug, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { IpamStore, StoreChange } from '../ports.ts'
import { tables } from '../tables.ts'
import { type Item, itemKey, parseItemKey } from './items.ts'
import { itemsMost } from './messages.ts'
import type { Seat } from './seat.ts'
import type { Wire } from './wire.ts'

interface Release {
  readonly item: Item
  readonly claim: number
  /** Voters that took note; in memory only, since telling them twice does no harm. */
  readonly told: Set<string>
}

/**
 * Votes of others that we do not need any more. They are written down before anybody is told (`Wire` sends nothing before), and
 * every voter of the roster is told until it answers or is off the roster: a vote that nobody gives back
 * keeps an item from everybody.
 */
export class GiveBack {
  readonly #seat: Seat
  readonly #wire: Wire
  readonly #store: IpamStore
  readonly #logger: Logger
  readonly #releases = new Map<string, Release>()
  #sending: Promise<void> | null = null
  #again = false

  constructor(seat: Seat, wire: Wire, store: IpamStore, logger: Logger) {
    this.#seat = seat
    this.#wire = wire
    this.#store = store
    this.#logger = logger
    for (const [key, { claim }] of store.entries<{ claim: number }>(tables.releasing)) {
      const item = parseItemKey(key)
      if (item !== null) this.#releases.set(key, { item, claim, told: new Set() })
    }
  }

  /** How many items wait for voters to take note. */
  get pending(): number {
    return this.#releases.size
  }

  /** Notes items as given back, up to `claim`; the caller writes the changes, then calls `send`. */
  note(items: readonly Item[], claim: number): StoreChange[] {
    return items.map((item) => {
      const key = itemKey(item)
      this.#releases.set(key, { item, claim, told: new Set() })
      return { table: tables.releasing, key, value: { claim } }
    })
  }

  /** Items that became ours again need not be given back. */
  forget(items: readonly Item[]): StoreChange[] {
    const known = items.map((item) => itemKey(item)).filter((key) => this.#releases.delete(key))
    return known.map((key) => ({ table: tables.releasing, key, value: null }))
  }

  /** Tells the voters; resolves when one pass over all of them is done. Never rejects. */
  send(): Promise<void> {
    if (this.#sending !== null) {
      this.#again = true
      return this.#sending
    }
    this.#sending = this.#pass()
      .catch((error: unknown) => {
        if (isBug(error)) throw error
        this.#logger.warn('could not note that votes were given back', { error: messageOf(error) })
      })
      .finally(() => {
        this.#sending = null
        if (!this.#again) return
        this.#again = false
        void this.send()
      })
    return this.#sending
  }

  /** Resolves when nothing is being told. */
  async settled(): Promise<void> {
    while (this.#sending !== null) await this.#sending
  }

  async #pass(): Promise<void> {
    const voters = this.#seat.roster?.voters ?? [this.#seat.voter]
    await Promise.all(voters.map(({ name }) => this.#tell(name)))
    const names = new Set(voters.map(({ name }) => name))
    const settled: StoreChange[] = []
    for (const [key, { told }] of this.#releases) {
      if (![...names].every((name) => told.has(name))) continue
      this.#releases.delete(key)
      settled.push({ table: tables.releasing, key, value: null })
    }
    if (settled.length > 0) await this.#store.write(settled)
  }

  async #tell(voter: string): Promise<void> {
    for (const [claim, releases] of this.#untold(voter)) {
      const items = releases.map(({ item }) => itemKey(item))
      try {
        const { body } = await this.#wire.ask(voter, { kind: 'release', claim, items })
        if (body.kind === 'done') for (const { told } of releases) told.add(voter)
      } catch (error) {
        if (isBug(error)) throw error
        return // away, or our disk is full: told again at the next pass
      }
    }
  }

  /** By claim what the voter has not been told, in messages' portions. */
  #untold(voter: string): [number, Release[]][] {
    const portions: [number, Release[]][] = []
    const open = new Map<number, Release[]>()
    for (const release of this.#releases.values()) {
      if (release.told.has(voter)) continue
      let portion = open.get(release.claim)
      if (portion === undefined || portion.length >= itemsMost) {
        portion = []
        open.set(release.claim, portion)
        portions.push([release.claim, portion])
      }
      portion.push(release)
    }
    return portions
  }
}
