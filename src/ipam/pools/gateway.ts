import { refusal } from '../../base/errors.ts'
import type { Ip } from '../../net/ip.ts'
import { inUse, reasonOf, refusedByState, requireHeld } from '../errors.ts'
import type { Holdings } from '../holdings.ts'
import type { LocalPool } from './local-pool.ts'

const remedy = 'choose another --gateway'

/**
 * The pool's gateway, the same on every host: the one agreed on, else the one given, else the first
 * address that is in nobody's block. It needs no block: nobody hands out an address that is set
 * aside. Of a swarm's pool its managers have agreed on it.
 */
export async function allocateGateway(
  holdings: Holdings,
  pool: LocalPool,
  wanted: Ip | null,
  deadline: number,
): Promise<Ip> {
  const known = pool.agreed.gateway
  if (known !== null && (wanted === null || wanted === known)) return given(holdings, pool, known)
  if (pool.name.kind !== 'shared') {
    const gateway = wanted ?? pool.addressAt(pool.geometry.first)
    pool.usableOffset(gateway)
    return given(holdings, pool, gateway)
  }
  if (wanted !== null && known === null) {
    const isLeased = pool.leases.get(pool.usableOffset(wanted)) !== undefined
    const member = isLeased ? 'this host' : holdings.claimant(pool, wanted)?.member
    if (member !== undefined) throw inUse(wanted, pool, `in use on ${member}`, remedy)
  }
  const what = `the gateway of pool ${pool.key}`
  const command = holdings.agreement.gateway(pool.key, wanted)
  const outcome = await holdings.submit(what, deadline, command)
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
  if (wanted === null) throw refusedByState(what, outcome.refused)
  throw inUse(wanted, pool, reasonOf(outcome.refused), remedy)
}

/** Notes that the engine was given it. */
async function given(holdings: Holdings, pool: LocalPool, gateway: Ip): Promise<Ip> {
  requireHeld(pool)
  const before = pool.row!
  const isKnown = before.gateway === gateway && before.agreed.gateway === gateway
  const after = { ...before, gateway, agreed: { ...before.agreed, gateway } }
  await holdings.writer.write(isKnown ? [] : [pool.set(after)], () => {
    const { row } = pool
    if (row?.gateway !== gateway) return []
    const agreed = { ...row.agreed, gateway: before.agreed.gateway }
    return [pool.set({ ...row, gateway: before.gateway, agreed })]
  })
  return gateway
}
