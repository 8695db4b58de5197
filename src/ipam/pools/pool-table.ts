import { failure } from '../../base/errors.ts'
import { parsePoolKey } from '../../net/pool-key.ts'
import type { Lease } from '../leases/lease-table.ts'
import type { IpamStore } from '../ports.ts'
import { formerTables, parseRowKey, tables } from '../tables.ts'
import { type Block, LocalPool, type PoolRow } from './local-pool.ts'

/** The pools of this host by key, as the disk has them. Throws STORE for a former store. */
export function loadPools(store: IpamStore): Map<string, LocalPool> {
  const former = formerTables.find((table) => store.entries(table).length > 0)
  if (former !== undefined) {
    throw failure(
      'STORE',
      `the state of this host is of a release that agreed on addresses by votes (table ${former}), which this one ` +
        'cannot read: remove the networks of this plugin on all hosts, then the plugin with ' +
        '"docker plugin rm -f", install it and create the networks again',
    )
  }
  const pools = new Map<string, LocalPool>()
  for (const [key, row] of store.entries<PoolRow>(tables.pools)) {
    const name = parsePoolKey(key)
    if (name !== null) pools.set(key, new LocalPool(name, row))
  }
  const load = <T>(table: string, put: (pool: LocalPool, number: number, row: T) => void): void => {
    for (const [key, row] of store.entries<T>(table)) {
      const { number, poolKey } = parseRowKey(key) ?? { number: -1, poolKey: '' }
      const pool = pools.get(poolKey)
      if (pool !== undefined) put(pool, number, row)
    }
  }
  load<Block>(tables.blocks, (pool, index, block) => {
    if (index < pool.geometry.blockCount) pool.own(index, block)
  })
  load<Lease>(tables.leases, (pool, offset, lease) => {
    if (offset < pool.geometry.span) pool.lease(offset, lease)
  })
  return pools
}
