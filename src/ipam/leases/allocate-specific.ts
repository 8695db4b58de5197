import { attempt, failure, refusal } from '../../base/errors.ts'
import { below } from '../../base/random.ts'
import { sleep } from '../../base/clock.ts'
import type { Ip } from '../../net/ip.ts'
import { blockOf } from '../../net/pool-geometry.ts'
import {
  chooseAnother,
  inUse,
  ownerAway,
  poolExhausted,
  reasonOf,
  refusedByState,
  requireHeld,
} from '../errors.ts'
import type { Holdings } from '../holdings.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { AllocateParts, Asked } from './allocate-any.ts'
import { type Lease, leaseOf } from './lease-table.ts'

/** While the owner has a request for the address we look again after this, up to twice, ms. */
const lookAgainMs = 60
/** An owner that is busy with the address after this many looks keeps it. */
const maxLooks = 4
/** Who has an address: the question takes at most this, ms. */
const whoMs = 500

const anotherAuxiliary = 'choose another --aux-address'

interface AskedFor extends Asked {
  readonly ip: Ip
  readonly kind: Lease['kind']
}

/**
 * A certain address (`--ip`): from our own block, from a block that nobody owns and we claim, or
 * lent by the owner of its block.
 */
export async function allocateSpecific(parts: AllocateParts, asked: AskedFor): Promise<void> {
  const { pool, ip, deadline } = asked
  const offset = pool.usableOffset(ip)
  if (pool.busy.has(offset)) {
    throw inUse(ip, pool, 'being asked for by another request on this host', chooseAnother)
  }
  pool.busy.add(offset)
  try {
    for (let busy = 0; ;) {
      const tried = await tryToTake(parts, asked, offset)
      if (tried === 'taken') return
      if (tried === 'busy') busy++
      if (busy >= maxLooks || parts.clock.now() >= deadline) {
        const what = `nobody could say who has address ${ip} of pool ${pool.key}`
        throw failure('MEMBER_AWAY', `${what}; try again`)
      }
      await sleep(parts.clock, lookAgainMs + below(parts.random, lookAgainMs))
    }
  } finally {
    pool.busy.delete(offset)
  }
}

/**
 * Sets an address aside (`--aux-address`), in the whole cluster; several hosts may set the same one
 * aside. In the block of another member its owner's consent comes first, as for any address.
 */
export async function reserve(parts: AllocateParts, asked: AskedFor): Promise<void> {
  const { holdings } = parts
  const { pool, ip, deadline } = asked
  const offset = pool.usableOffset(ip)
  if (pool.row!.reserved.includes(ip)) return holdings.writer.durable()
  if (pool.agreed.gateway === ip) throw inUse(ip, pool, 'the gateway', anotherAuxiliary)
  if (pool.leases.get(offset) !== undefined) {
    throw inUse(ip, pool, 'in use on this host', anotherAuxiliary)
  }
  if (pool.busy.has(offset)) throw inUse(ip, pool, 'being asked for on this host', chooseAnother)
  for (let isTaken = false; ; isTaken = true) {
    if (!isTaken) pool.busy.add(offset)
    const command = holdings.agreement.reserve(pool.key, offset)
    const outcome = await holdings
      .submit(`address ${ip}`, deadline, command)
      .finally(() => pool.busy.delete(offset))
    if ('ok' in outcome) break
    const { code } = outcome.refused
    if (code === 'QUOTA') throw refusedByState(`address ${ip}`, outcome.refused)
    const mayTake = code === 'OWNED' && !isTaken
    if (!mayTake) throw inUse(ip, pool, reasonOf(outcome.refused), anotherAuxiliary)
    await allocateSpecific(parts, { ...asked, kind: 'reserved' })
  }
  const { row } = pool
  if (row === null) return
  const changes = [pool.set({ ...row, reserved: [...row.reserved, ip].sort() })]
  await holdings.writer.write(changes, () => pool.withoutReserved(ip))
}

/**
 * An address of a swarm's pool. The managers agree by swarm's Raft on who allocates: the leader's
 * host allocates from the whole pool, without blocks, and takes over what it is told when it
 * becomes the leader. Workers only write down what they are told.
 */
export async function allocateOfSwarm(
  { clock, cluster, holdings }: AllocateParts,
  pool: LocalPool,
  wanted: Ip | null,
): Promise<Ip> {
  if (wanted === null && pool.name.kind === 'worker') {
    const why = 'only a manager chooses addresses in it'
    throw refusal('UNSUPPORTED', `pool ${pool.key} belongs to a swarm network: ${why}`)
  }
  const isSetAside = (offset: number): boolean => pool.isSetAside(offset)
  const offset =
    wanted === null
      ? pool.leases.next([pool.window ?? pool.geometry], isSetAside, clock.now())
      : pool.usableOffset(wanted)
  if (offset === null) throw poolExhausted(pool, cluster.self, [], () => false)
  await holdings.lease(pool, offset, leaseOf(clock, 'container', null))
  return pool.addressAt(offset)
}

/** `busy`: its owner has a request for it. `unheard`: nothing is known of its owner yet. */
type Tried = 'taken' | 'busy' | 'unheard'

async function tryToTake(parts: AllocateParts, asked: AskedFor, offset: number): Promise<Tried> {
  const { clock, holdings } = parts
  const { pool, kind, name } = asked
  const lease = leaseOf(clock, kind, name)
  // A loan may be back without our having been told: the next view says.
  const isLent = pool.ownsOffset(offset) && pool.agreed.lent.includes(offset)
  if (isLent) await claimBlock(holdings, asked, offset)
  await refuseTaken(holdings, asked, offset)
  if (!pool.ownsOffset(offset)) {
    const owner = await claimBlock(holdings, asked, offset)
    if (owner !== null) return borrow(parts, asked, offset, owner, lease)
    // A moment has passed: the block may be given away again, or the address set aside.
    await refuseTaken(holdings, asked, offset)
    if (!pool.ownsOffset(offset)) return 'busy'
  }
  await holdings.lease(pool, offset, lease)
  return 'taken'
}

/** Claims the block that the address is in; its owner instead, if it has one. */
async function claimBlock(
  holdings: Holdings,
  { pool, ip, deadline }: AskedFor,
  offset: number,
): Promise<string | null> {
  const what = `the block of address ${ip}`
  if (pool.owed.blocks.length > 0) await holdings.flush(pool, deadline)
  const command = holdings.agreement.claimBlock(pool.key, blockOf(pool.geometry, offset))
  const outcome = await holdings.submit(what, deadline, command)
  if ('ok' in outcome) return null
  const { code, member } = outcome.refused
  if (code === 'OWNED' && member !== undefined) return member
  throw refusedByState(what, outcome.refused)
}

async function borrow(
  { clock, holdings, lending, peers }: AllocateParts,
  { pool, ip, deadline }: AskedFor,
  offset: number,
  owner: string,
  lease: Lease,
): Promise<Tried> {
  const state = peers.state(owner)
  // We have just started, and the engine gives up on a container that is refused now.
  if (state === undefined && clock.now() + 2 * lookAgainMs < deadline) return 'unheard'
  if (state === undefined || state === 'dead') throw ownerAway(ip, pool, owner)
  const borrowed = await lending.borrow(pool, offset, owner, lease)
  if (borrowed === 'got') return 'taken'
  if (borrowed === 'away') throw ownerAway(ip, pool, owner)
  if (borrowed !== 'in use') return 'busy'
  throw inUse(ip, pool, await possessor(holdings, pool, offset), chooseAnother)
}

async function refuseTaken(
  holdings: Holdings,
  { pool, ip }: AskedFor,
  offset: number,
): Promise<void> {
  requireHeld(pool)
  const lease = pool.leases.get(offset)
  const claimant = holdings.claimant(pool, ip)
  const { gateway, lent, reserved } = pool.agreed
  let by: string | null = null
  if (lease?.kind === 'reserved' || pool.row!.reserved.includes(ip)) by = 'reserved on this host'
  else if (lease !== undefined) by = 'in use on this host'
  else if (gateway === ip) by = 'the gateway'
  else if (claimant !== undefined) by = `in use on ${claimant.member} (${claimant.address})`
  else if (reserved.includes(offset) || lent.includes(offset)) {
    by = await possessor(holdings, pool, offset)
  }
  if (by !== null) throw inUse(ip, pool, by, chooseAnother)
}

async function possessor(
  { agreement }: Holdings,
  pool: LocalPool,
  offset: number,
): Promise<string> {
  const { owner, borrower, reserver } = await attempt(
    () => agreement.whoHas(pool.key, blockOf(pool.geometry, offset), offset)(whoMs),
    () => ({ owner: null, borrower: null, reserver: null }),
  )
  if (borrower !== null) return `lent to ${borrower}`
  if (reserver !== null) return `a reserved address on ${reserver}`
  return owner === null ? 'in use on another member' : `in use on ${owner}`
}
