import { failure } from '../../base/errors.ts'
import { parsePoolKey, type PoolName, poolKeyOf } from '../../net/pool-key.ts'
import type { Lease } from '../leases/lease-table.ts'
import type { IpamStore } from '../ports.ts'
import { formerTables, parseRowKey, tables } from '../tables.ts'
import { type Block, LocalPool, type PoolRow } from './local-pool.ts'

/** The pools that this host holds. */
export class PoolTable {
  readonly #pools = new Map<string, LocalPool>()

  /** Takes what the disk has. Throws STORE when it is a former release's. */
  constructor(store: IpamStore) {
    refuseFormer(store)
    for (const [key, row] of store.entries<PoolRow>(tables.pools)) {
      const name = parsePoolKey(key)
      if (name !== null) this.#pools.set(key, new LocalPool(name, row))
    }
    for (const [key, block] of store.entries<Block>(tables.blocks)) {
      const row = parseRowKey(key)
      const pool = row === null ? undefined : this.#pools.get(row.poolKey)
      if (row !== null && row.number < (pool?.geometry.blockCount ?? 0))
        pool?.own(row.number, block)
    }
    for (const [key, lease] of store.entries<Lease>(tables.leases)) {
      const row = parseRowKey(key)
      const pool = row === null ? undefined : this.#pools.get(row.poolKey)
      if (row !== null && row.number < (pool?.geometry.span ?? 0)) pool?.lease(row.number, lease)
    }
  }

  get(key: string): LocalPool | undefined {
    return this.#pools.get(key)
  }

  all(): LocalPool[] {
    return [...this.#pools.values()]
  }

  /** The pool of this name, a new one if there is none; it is held once it has a row. */
  place(name: PoolName): LocalPool {
    const key = poolKeyOf(name)
    const pool = this.#pools.get(key) ?? new LocalPool(name, null)
    this.#pools.set(key, pool)
    return pool
  }

  /** The pool is let go of; requests that still have it find it not held. */
  remove(pool: LocalPool): void {
    if (this.#pools.get(pool.key) === pool) this.#pools.delete(pool.key)
  }
}

function refuseFormer(store: IpamStore): void {
  const former = formerTables.find((table) => store.entries(table).length > 0)
  if (former === undefined) return
  throw failure(
    'STORE',
    `the state of this host is of a release that agreed on addresses by votes (table ${former}), which this one ` +
      'cannot read: remove the networks of this plugin on all hosts, then the plugin with ' +
      '"docker plugin rm -f", install it and create the networks again',
  )
}
