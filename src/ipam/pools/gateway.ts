import { refusal } from '../../base/errors.ts'
import type { Ip } from '../../net/ip.ts'
import { type Context, publishPool } from '../context.ts'
import { inUse } from '../refusals.ts'
import { requireOffset } from '../addresses/explicit.ts'
import type { HeldPool, PoolRow } from './held-pool.ts'
import { addressAt, isUsable } from '../../net/pool-geometry.ts'

/**
 * The pool's gateway, the same on every host: the one given, else the one that another member published, else the first
 * address a host may have. It needs no block: nobody hands out an address that is set aside.
 */
export async function takeGateway(
  context: Context,
  pool: HeldPool,
  wanted: Ip | null,
): Promise<Ip> {
  const row = pool.row!
  const elsewhere = context.surroundings
    .holders(pool.key)
    .find(({ gateway }) => gateway !== null && isHostOf(pool, gateway))
  const agreed = elsewhere?.gateway ?? null
  if (wanted !== null && agreed !== null && wanted !== agreed) {
    throw refusal(
      'OVERLAY_CONFLICT',
      `gateway ${wanted} of pool ${pool.key}: ${elsewhere!.member} uses ${agreed} for it; ` +
        `give --gateway ${agreed}, or leave it out`,
    )
  }
  const gateway = wanted ?? agreed ?? row.gateway ?? firstFree(context, pool)
  if (gateway !== agreed && gateway !== row.gateway) refuseIfUsed(context, pool, gateway)
  await keepGateway(context, pool, row, gateway)
  return gateway
}

/** What another member publishes is not taken for more than it can be. */
function isHostOf(pool: HeldPool, ip: Ip): boolean {
  const offset = pool.offset(ip)
  return offset !== null && isUsable(pool.geometry, offset)
}

async function keepGateway(
  context: Context,
  pool: HeldPool,
  row: PoolRow,
  gateway: Ip,
): Promise<void> {
  if (row.gateway === gateway) return context.store.durable()
  await context.store.write([pool.set({ ...row, gateway })], () =>
    pool.row?.gateway === gateway ? [pool.set({ ...pool.row, gateway: row.gateway })] : [],
  )
  publishPool(context, pool)
}

function refuseIfUsed({ cluster }: Context, pool: HeldPool, gateway: Ip): void {
  const offset = requireOffset(pool, gateway)
  const remedy = 'choose another --gateway'
  if (pool.leases.get(offset) !== undefined) {
    throw inUse(gateway, pool, 'in use on this host', remedy)
  }
  const endpoint = cluster.holderOf(pool.key, gateway)
  if (endpoint !== null) throw inUse(gateway, pool, `in use on ${endpoint.member}`, remedy)
}

function firstFree({ cluster }: Context, pool: HeldPool): Ip {
  const { first, last } = pool.geometry
  for (let offset = first; offset <= last; offset++) {
    const ip = addressAt(pool.geometry, offset)
    if (pool.leases.get(offset) === undefined && cluster.holderOf(pool.key, ip) === null) return ip
  }
  throw refusal('POOL_EXHAUSTED', `pool ${pool.key} has no address left for a gateway`)
}
