import type { Context } from '../context.ts'
import type { Asked, Reply } from '../voting/messages.ts'
import { addressesBlocked } from '../addresses/blocked.ts'
import { idleBlocks, letGo } from './block-return.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import { blockOf, blockRange, type OffsetRange } from '../../net/pool-geometry.ts'

/** So many owners are asked at once; together they have more than one claim needs. */
const ownersAsked = 8
/** More addresses than this are not offered at a time. */
const offersMost = 32
/** Voters get this long to hear of what was given back before we answer, ms. */
const noticeMs = 500

/** An address that its owner would lend. */
export interface Offer {
  readonly owner: string
  readonly offset: number
}

/** Asks the owners of a pool that has no unowned block for what they can do without. */
export async function askForSpares(
  { cluster, random, seat, surroundings, wire }: Context,
  pool: HeldPool,
): Promise<{ released: number[]; offers: Offer[] }> {
  const { window } = pool
  if (window === null || !seat.seated) return { released: [], offers: [] }
  const owners = new Map<string, number>()
  for (const { owner, alive, index } of surroundings.owners(pool.key).values()) {
    const inWindow =
      index < pool.geometry.blockCount && blockRange(pool.geometry, index, window) !== null
    if (alive && inWindow && owner !== cluster.self) owners.set(owner, (owners.get(owner) ?? 0) + 1)
  }
  const richest = [...owners].sort((a, b) => b[1] - a[1]).slice(0, ownersAsked)
  const { first, last } = window
  const query = { kind: 'spare', poolKey: pool.key, first, last, wanted: pool.waiting } as const
  const answers = await Promise.allSettled(richest.map(([owner]) => wire.ask(owner, query)))
  const released: number[] = []
  const offers: Offer[] = []
  for (const answer of answers) {
    if (answer.status === 'rejected' || answer.value.body.kind !== 'spared') continue
    const { body, from } = answer.value
    released.push(...body.released.filter((index) => index < pool.geometry.blockCount))
    for (const offset of body.offers) offers.push({ owner: from.name, offset })
  }
  const start = offers.length === 0 ? 0 : random.uint32() % offers.length
  return { released, offers: [...offers.slice(start), ...offers.slice(0, start)] }
}

/** An owner's answer to that: empty blocks are given back, else free addresses are offered. */
export async function spare(context: Context, asked: Asked<'spare'>): Promise<Reply> {
  const { giveBack, shelf, wire } = context
  const pool = shelf.get(asked.poolKey)
  if (pool === undefined) return { kind: 'spared', released: [], offers: [] }
  const window: OffsetRange = { first: asked.first, last: asked.last }
  const released = await letGo(context, pool, dispensable(context, pool, window, asked.wanted))
  if (released.length > 0) await Promise.race([giveBack.send(), wire.pause(noticeMs)])
  const offers = released.length > 0 ? [] : lendable(context, pool, window, asked.wanted)
  return { kind: 'spared', released, offers }
}

/** Empty blocks, as many as are wanted. One stays when no other block has a free address for ourselves. */
function dispensable(
  context: Context,
  pool: HeldPool,
  window: OffsetRange,
  wanted: number,
): number[] {
  const idle = idleBlocks(context, pool)
  const inUse = pool.blocks().size - idle.length
  const freeElsewhere =
    pool.held && pool.fresh(context.clock.now()) - idle.length * pool.geometry.blockSize > 0
  const kept = !pool.held || (inUse > 0 && freeElsewhere) ? 0 : 1
  const blocks = Math.ceil(wanted / pool.geometry.blockSize)
  return idle
    .slice(kept)
    .filter((index) => blockRange(pool.geometry, index, window) !== null)
    .slice(0, Math.max(1, blocks))
}

function lendable(context: Context, pool: HeldPool, window: OffsetRange, wanted: number): number[] {
  if (!pool.held) return []
  const blocked = addressesBlocked(context, pool)
  const offers: number[] = []
  for (const index of pool.blocks().keys()) {
    const range = blockRange(pool.geometry, index, window)
    for (let offset = range?.first ?? 0; offset <= (range?.last ?? -1); offset++) {
      if (offers.length >= Math.min(wanted, offersMost)) return offers
      const free = pool.leases.get(offset) === undefined && !blocked(offset)
      if (free && pool.ownsBlock(blockOf(pool.geometry, offset))) offers.push(offset)
    }
  }
  return offers
}
