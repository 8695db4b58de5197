import { refusal } from '../../base/errors.ts'
import type { Ip } from '../../net/ip.ts'
import { inUse, refusedByState, requireHeld } from '../errors.ts'
import type { Holdings } from '../holdings.ts'
import { requireOffset } from '../leases/offsets.ts'
import type { IpamCluster } from '../ports.ts'
import type { LocalPool } from './local-pool.ts'

/**
 * The pool's gateway, the same on every host: the one agreed on, else the one given, else the first
 * address that is in nobody's block. It needs no block: nobody hands out an address that is set
 * aside.
 */
export async function allocateGateway(
  holdings: Holdings,
  cluster: IpamCluster,
  pool: LocalPool,
  wanted: Ip | null,
  deadline: number,
): Promise<Ip> {
  const known = pool.agreed.gateway
  if (known !== null && (wanted === null || wanted === known)) return given(holdings, pool, known)
  if (pool.name.kind !== 'shared') return localGateway(holdings, pool, wanted)
  if (wanted !== null && known === null) refuseUsed(cluster, pool, wanted)
  const outcome = await holdings.submit(
    `the gateway of pool ${pool.key}`,
    deadline,
    (agreement, timeoutMs) => agreement.gateway(pool.key, wanted, timeoutMs),
  )
  if ('ok' in outcome) return given(holdings, pool, outcome.ok.gateway!)
  const { code, member, offset } = outcome.refused
  if (code === 'OTHER_GATEWAY') {
    const agreed = pool.addressAt(offset!)
    throw refusal(
      'OVERLAY_CONFLICT',
      `gateway ${wanted} of pool ${pool.key}: ${member} uses ${agreed} for it; ` +
        `give --gateway ${agreed}, or leave it out`,
    )
  }
  if (code === 'NONE_LEFT') {
    throw refusal('POOL_EXHAUSTED', `pool ${pool.key} has no address left for a gateway`)
  }
  if (wanted === null) throw refusedByState(`the gateway of pool ${pool.key}`, outcome.refused)
  throw inUse(wanted, pool, reasonOf(outcome.refused), 'choose another --gateway')
}

/** Notes that the engine was given it. */
async function given(holdings: Holdings, pool: LocalPool, gateway: Ip): Promise<Ip> {
  requireHeld(pool)
  const row = pool.row!
  const changes = row.gateway === gateway ? [] : [pool.set({ ...row, gateway })]
  await holdings.writer.write(changes, () =>
    pool.row?.gateway === gateway ? [pool.set({ ...pool.row, gateway: row.gateway })] : [],
  )
  return gateway
}

/** In whose hands an address is that the voters refuse. */
export function reasonOf({ code, member }: { code: string; member?: string }): string {
  if (code === 'OWNED') return `in a block of ${member ?? 'another member'}`
  if (code === 'LENT') return `in use on ${member ?? 'another member'}`
  return 'set aside'
}

/** Of a swarm's pool, which its managers have agreed on. */
async function localGateway(holdings: Holdings, pool: LocalPool, wanted: Ip | null): Promise<Ip> {
  const row = pool.row!
  const gateway = wanted ?? pool.addressAt(pool.geometry.first)
  requireOffset(pool, gateway)
  const before = row.agreed
  await holdings.writer.write([pool.set({ ...row, agreed: { ...before, gateway } })], () =>
    pool.row?.agreed.gateway === gateway ? [pool.set({ ...pool.row, agreed: before })] : [],
  )
  return given(holdings, pool, gateway)
}

function refuseUsed(cluster: IpamCluster, pool: LocalPool, gateway: Ip): void {
  const offset = requireOffset(pool, gateway)
  const remedy = 'choose another --gateway'
  if (pool.leases.get(offset) !== undefined)
    throw inUse(gateway, pool, 'in use on this host', remedy)
  const endpoint = cluster.holderOf(pool.key, gateway)
  if (endpoint !== null) throw inUse(gateway, pool, `in use on ${endpoint.member}`, remedy)
}
