import { type PoolName, poolKeyOf } from '../../net/pool-key.ts'
import { refusal } from '../../base/errors.ts'
import { cidrBits } from '../../net/cidr.ts'
import { type Context, publishPool } from '../context.ts'
import type { Undo } from '../ledger.ts'
import { addressSpaces } from '../pool-id.ts'
import { noMajority } from '../refusals.ts'
import { poolItem } from '../voting/items.ts'
import type { HeldPool } from './held-pool.ts'
import { freePools, type PoolSource, ulaSource } from './pool-choice.ts'
import { hold, overlayOption, type PoolWish, takenPrefixes } from './pool-requests.ts'

/**
 * The engine asks again and again while the answer overlaps something of its host, and holds all it got. After so many
 * pools without a network it is told that there are no more.
 */
const unboundMost = 64

/** How often we look whether we have become a voter, ms. */
const seatPollMs = 50

/** Chooses a pool that nobody in the cluster has, by majority vote, and holds it. */
export async function choosePool(
  context: Context,
  wish: PoolWish,
  deadline: number,
): Promise<HeldPool> {
  const { hostRoutes, random, shelf } = context
  const overlay = overlayOption(wish.options)
  const kind = wish.space === addressSpaces.global ? 'books' : 'shared'
  const unbound = shelf.allHeld().filter(({ row }) => row!.auto && row!.networkId === null)
  while (!context.seat.seated && context.clock.now() < deadline)
    await context.wire.pause(seatPollMs)
  const sources = sourcesFor(context, wish.ipv6)
  if (unbound.length >= unboundMost || sources.length === 0) throw noPoolLeft(wish.ipv6)
  const taken = [...takenPrefixes(context), ...((await hostRoutes?.()) ?? [])]
  for (const cidr of freePools(sources, taken, random)) {
    const name: PoolName = { kind, cidr, overlay }
    const pool = await win(context, name, deadline)
    if (pool !== null) return pool
  }
  throw noPoolLeft(wish.ipv6)
}

function sourcesFor({ seat, settings }: Context, ipv6: boolean): PoolSource[] {
  const bits = ipv6 ? 128 : 32
  const sources = settings.pools.filter(({ cidr }) => cidrBits(cidr) === bits)
  if (sources.length > 0 || !ipv6) return sources
  // Without a roster there is no root, but nothing can be won either; any prefix serves to find that out.
  return [ulaSource(seat.roster?.root ?? '')]
}

/** Null when somebody else has it, or one that overlaps. */
async function win(context: Context, name: PoolName, deadline: number): Promise<HeldPool | null> {
  const items = [poolItem(poolKeyOf(name))]
  const wish = { items, exclusive: true, deadline }
  let undo: Undo = () => []
  const { won, shortage } = await context.claims.claim(
    wish,
    () => {
      const held = hold(context, name, null, true)
      undo = held.undo
      return [held.change]
    },
    () => undo(),
  )
  if (shortage !== null) throw noMajority(context, `a new pool (${name.cidr})`, shortage)
  const pool = won.length > 0 ? context.shelf.held(poolKeyOf(name)) : undefined
  if (pool !== undefined) publishPool(context, pool)
  else if (context.clock.now() >= deadline) throw noPoolLeft(cidrBits(name.cidr) === 128)
  return pool ?? null
}

function noPoolLeft(ipv6: boolean): Error {
  return refusal(
    'POOL_EXHAUSTED',
    `no ${ipv6 ? 'IPv6' : 'IPv4'} pool is left that nothing else uses; ` +
      'give one with --subnet, or widen the setting POOLS',
  )
}
