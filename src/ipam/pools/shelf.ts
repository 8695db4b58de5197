import { parsePoolKey, type PoolName, poolKeyOf } from '../../net/pool-key.ts'
import type { IpamStore } from '../ports.ts'
import { tables } from '../tables.ts'
import { type Item, parseItemKey } from '../voting/items.ts'
import { HeldPool, type PoolRow } from './held-pool.ts'
import type { Lease } from '../addresses/lease-table.ts'

/** All pools of which this host has something: held, or only some block that is not given back yet. */
export class Shelf {
  readonly #pools = new Map<string, HeldPool>()

  constructor(store: IpamStore) {
    for (const [key, row] of store.entries<PoolRow>(tables.pools)) {
      const name = parsePoolKey(key)
      if (name !== null) this.#pools.set(key, new HeldPool(name, row))
    }
    for (const [key, { since }] of store.entries<{ since: number }>(tables.blocks)) {
      const item = parseItemKey(key)
      if (item !== null) this.#poolOf(item)?.own(item.number, since)
    }
    for (const [key, lease] of store.entries<Lease>(tables.leases)) {
      const item = parseItemKey(key)
      if (item !== null) this.#poolOf(item)?.lease(item.number, lease)
    }
  }

  /** The pool with this key if the engine holds it. */
  held(key: string): HeldPool | undefined {
    const pool = this.#pools.get(key)
    return pool?.held === true ? pool : undefined
  }

  /** The pool with this key, held or not. */
  get(key: string): HeldPool | undefined {
    return this.#pools.get(key)
  }

  /** The pool of this name, a new one that is not held if there is none. */
  place(name: PoolName): HeldPool {
    const key = poolKeyOf(name)
    const pool = this.#pools.get(key) ?? new HeldPool(name, null)
    this.#pools.set(key, pool)
    return pool
  }

  /** Forgets a pool of which nothing is left and that no request is busy with. */
  tidy(pool: HeldPool): void {
    const busy = pool.waiting > 0 || pool.wishes.size > 0
    const empty = !pool.held && pool.blocks().size === 0 && pool.leases.size === 0
    if (empty && !busy && this.#pools.get(pool.key) === pool) this.#pools.delete(pool.key)
  }

  all(): HeldPool[] {
    return [...this.#pools.values()]
  }

  allHeld(): HeldPool[] {
    return this.all().filter(({ held }) => held)
  }

  #poolOf(item: Item): HeldPool | null {
    const name = parsePoolKey(item.poolKey)
    return name === null ? null : this.place(name)
  }
}
