import { refusal } from '../../base/errors.ts'
import type { Cidr } from '../../net/cidr.ts'
import { poolNotFound } from '../errors.ts'
import type { Holdings } from '../holdings.ts'
import { addressSpaces } from '../pool-id.ts'
import type { StoreChange } from '../ports.ts'
import type { LocalPool } from './local-pool.ts'
import type { PoolTable } from './pool-table.ts'

/**
 * The key of the pool that a network's IPAM data means, and that this host holds; null when the
 * addresses come from elsewhere. Pools that no network has yet come first. Refuses a pool that was
 * requested under another name of an overlay.
 */
export function poolFor(
  pools: PoolTable,
  cidr: Cidr,
  overlay: string | undefined,
  space: string,
): string | null {
  if (space !== addressSpaces.local && space !== addressSpaces.global) return null
  const isSwarms = space === addressSpaces.global
  const matching = pools.all().filter(({ name }) => {
    return name.cidr === cidr && (name.kind === 'books') === isSwarms
  })
  const unbound = matching.filter(({ row }) => row!.networkId === null)
  for (const candidates of [unbound, matching]) {
    const named = candidates.find(({ name }) => name.overlay === (overlay ?? null))
    const plain = candidates.find(({ name }) => name.overlay === null)
    const only = overlay === undefined && candidates.length === 1 ? candidates[0] : undefined
    const found = named ?? plain ?? only
    if (found !== undefined) return found.key
  }
  const other = unbound[0]?.name.overlay
  if (other === undefined) return null
  throw refusal(
    'OPTION_INVALID',
    `--ipam-opt overlay=${other} and -o overlay=${overlay ?? ''} contradict; give both the same name`,
  )
}

/** Notes which network has a pool, before CreateNetwork is answered. */
export async function bindPool(
  { pools, writer }: Holdings,
  poolKey: string,
  networkId: string,
): Promise<void> {
  const pool = pools.get(poolKey)
  const row = pool?.row ?? null
  if (pool === undefined || row === null) throw poolNotFound(poolKey)
  if (row.networkId === networkId) return writer.durable()
  if (row.networkId !== null) {
    throw refusal('POOL_IN_USE', `pool ${poolKey} belongs to network ${row.networkId} on this host`)
  }
  await writer.write([pool.set({ ...row, networkId })], () => unbound(pool, networkId))
}

/** Notes that a network is gone. A pool that is released already, or another network's, is fine. */
export async function unbindPool(
  { pools, writer }: Holdings,
  poolKey: string,
  networkId: string,
): Promise<void> {
  const pool = pools.get(poolKey)
  await writer.write(pool === undefined ? [] : unbound(pool, networkId))
}

/** Takes a network off its pool; no row when the pool is released, or another network's. */
function unbound(pool: LocalPool, networkId: string): StoreChange[] {
  return pool.row?.networkId === networkId ? [pool.set({ ...pool.row, networkId: null })] : []
}
