import { isOverlayId, type PoolName, poolKeyOf, poolsClash } from '../../net/pool-key.ts'
import type { Clock } from '../../base/clock.ts'
import { isBug, messageOf, type OverlayError, refusal } from '../../base/errors.ts'
import { type Cidr, cidrIncludes } from '../../net/cidr.ts'
import { type Context, publishPool } from '../context.ts'
import type { Undo } from '../ledger.ts'
import type { StoreChange } from '../ports.ts'
import { addressSpaces } from '../pool-id.ts'
import { poolItem, poolNameOf } from '../voting/items.ts'
import { nameOfHolder } from '../voting/roster.ts'
import type { HeldPool, PoolRow } from './held-pool.ts'

/** What `docker network create` asks for, decoded. */
export interface PoolWish {
  readonly space: string
  readonly pool: Cidr | null
  readonly subPool: Cidr | null
  readonly options: Readonly<Record<string, string>>
  readonly ipv6: boolean
}

/** A pool that was requested but belongs to no network: for this long its CreateNetwork may still come, ms. */
const requestedGraceMs = 30_000
/** The others are asked about a new pool for this long before we go on without their word, ms. */
const registerMs = 1500

const knownOptions = ['overlay']

/** The overlay that `--ipam-opt` keeps the pool apart for; refuses options that nobody knows. */
export function overlayOption(options: Readonly<Record<string, string>>): string | null {
  for (const key of Object.keys(options)) {
    if (!knownOptions.includes(key)) {
      throw refusal(
        'OPTION_UNKNOWN',
        `--ipam-opt ${key} is not known; known are: ${knownOptions.join(', ')}`,
      )
    }
  }
  const overlay = options['overlay']
  if (overlay === undefined) return null
  if (isOverlayId(overlay)) return overlay
  throw refusal(
    'OPTION_INVALID',
    `--ipam-opt overlay=${overlay}: an overlay id has 1 to 128 letters, digits, dots, dashes and underscores, ` +
      'and begins with a letter or digit',
  )
}

/** The pool that an explicit prefix means in an address space. */
export function nameOfWish(context: Context, wish: PoolWish, cidr: Cidr): PoolName {
  const overlay = overlayOption(wish.options)
  if (wish.space === addressSpaces.global) return { kind: 'books', cidr, overlay }
  if (wish.space !== addressSpaces.local) {
    throw refusal(
      'BAD_REQUEST',
      `address space ${wish.space} is none of ours: ${addressSpaces.local}, ${addressSpaces.global}`,
    )
  }
  const books: PoolName = { kind: 'books', cidr, overlay }
  const key = poolKeyOf(books)
  // A manager keeps the books and, for its own tasks, is told like any other node.
  const isSwarms = context.shelf.held(key) !== undefined || isKnown(context, key)
  const swarm = context.settings.scope === 'global' && isSwarms
  return { kind: swarm ? 'told' : 'shared', cidr, overlay }
}

/** Refuses a sub-pool (`--ip-range`) that is not inside its pool. */
function checkSubPool(cidr: Cidr, subPool: Cidr | null): void {
  if (subPool === null || cidrIncludes(cidr, subPool)) return
  throw refusal('BAD_REQUEST', `--ip-range ${subPool} is not inside --subnet ${cidr}`)
}

/** Holds the pool of that prefix for the engine, or refuses. */
export async function takePool(context: Context, wish: PoolWish, cidr: Cidr): Promise<HeldPool> {
  const name = nameOfWish(context, wish, cidr)
  const key = poolKeyOf(name)
  checkSubPool(cidr, wish.subPool)
  const held = context.shelf.held(key)
  if (held !== undefined && name.kind !== 'shared') {
    await context.store.durable()
    return held
  }
  refuseHeld(context, held)
  refuseOverlap(context, name)
  const { pool, change, undo } = hold(context, name, wish.subPool, false)
  await context.store.write([change], undo)
  publishPool(context, pool)
  if (name.kind !== 'shared') return pool
  const registered = register(context, name)
  if (isKnown(context, key)) {
    registered.catch((error: unknown) => {
      if (isBug(error)) throw error
      context.logger.warn('a pool is not as others know it', { pool: key, error: messageOf(error) })
    })
    return pool
  }
  try {
    await registered
    return pool
  } catch (error) {
    const written = context.store.write([pool.set(null)])
    publishPool(context, pool)
    await written
    throw error
  }
}

/**
 * Makes the pool ours to hand out from, in memory at once; the caller writes the change and publishes the pool. `undo` lets
 * go of it again.
 */
export function hold(
  { clock, shelf }: Context,
  name: PoolName,
  subPool: Cidr | null,
  auto: boolean,
): { pool: HeldPool; change: StoreChange; undo: Undo } {
  const pool = shelf.place(name)
  const since = clock.wall()
  const before = pool.row
  const row = { since, auto, gateway: null, reserved: [], subPool, networkId: null }
  const undo = (): StoreChange[] => (pool.row === row ? [pool.set(before)] : [])
  return { pool, change: pool.set(row), undo }
}

/** What nobody of this cluster may have at the same time as an automatic pool. */
export function takenPrefixes({ shelf, surroundings }: Context): Cidr[] {
  const own = shelf.allHeld().map(({ name }) => name.cidr)
  return [...own, ...surroundings.pools().map(({ poolKey }) => poolNameOf(poolKey).cidr)]
}

/** Whether another member holds this very pool. */
function isKnown({ surroundings }: Context, key: string): boolean {
  return surroundings.holders(key).length > 0
}

/**
 * Tells a majority of the pool, so that nobody chooses an overlapping one meanwhile. Fails when somebody has; goes on when
 * members are away: hosts that hold one pool need no permission of each other.
 */
export async function register({ claims, clock }: Context, name: PoolName): Promise<void> {
  const wish = {
    items: [poolItem(poolKeyOf(name))],
    bestEffort: true,
    deadline: clock.now() + registerMs,
  }
  const { lost } = await claims.claim(wish, () => [])
  const rival = lost[0]?.rival
  if (rival !== null && rival !== undefined) {
    throw overlaps(name, rival.held.poolKey, nameOfHolder(rival.holder))
  }
}

function refuseOverlap({ cluster, shelf, surroundings }: Context, name: PoolName): void {
  for (const other of shelf.allHeld()) {
    if (poolsClash(name, other.name)) throw overlaps(name, other.key, cluster.self)
  }
  for (const { member, poolKey } of surroundings.pools()) {
    if (poolsClash(name, poolNameOf(poolKey))) throw overlaps(name, poolKey, member)
  }
}

function overlaps(name: PoolName, other: string, member: string): OverlayError {
  return refusal(
    'POOL_OVERLAP',
    `pool ${poolKeyOf(name)} overlaps pool ${other}, which ${member} has; choose another --subnet, or ` +
      `the same one as ${member} to be on the same overlay, or keep them apart with --ipam-opt overlay= and -o overlay=`,
  )
}

/** Whether CreateNetwork may still come for a pool that belongs to no network. A clock that was set back says nothing. */
export function mayBeBound(clock: Clock, { networkId, since }: PoolRow): boolean {
  const ageMs = clock.wall() - since
  return networkId === null && ageMs >= 0 && ageMs < requestedGraceMs
}

/** One pool is one network on a host; an orphan that was never bound is taken over after a while. */
function refuseHeld({ clock }: Context, pool: HeldPool | undefined): void {
  const row = pool?.row ?? null
  if (pool === undefined || row === null) return
  const remedy =
    'to have another overlay with the same subnet on this host, keep it apart: ' +
    'give both --ipam-opt overlay=NAME and -o overlay=NAME'
  if (row.networkId !== null) {
    throw refusal(
      'POOL_IN_USE',
      `pool ${pool.key} is used by network ${row.networkId.slice(0, 12)} on this host; ${remedy}; if "docker network ls" ` +
        `does not have it, DELETE /networks/${row.networkId.slice(0, 12)} (see README) removes it`,
    )
  }
  if (mayBeBound(clock, row)) {
    throw refusal(
      'POOL_IN_USE',
      `pool ${pool.key} was requested on this host a moment ago and its network is not created yet; ` +
        `try again in ${requestedGraceMs / 1000} s, or ${remedy}`,
    )
  }
}
