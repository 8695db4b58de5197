import type { PoolGeometry } from '../../net/pool-geometry.ts'

/**
 * How much of a pool a member keeps, in blocks. Pure arithmetic; the numbers are bounds on waste,
 * not on use.
 */

/** At first use a member takes no more than about this many addresses. */
const maxFirstShare = 256
/** And at most this many are kept free ahead of need. */
const maxSpare = 64
/** First shares leave this part of the pool to those that need more. */
const shareDivisor = 2

/**
 * How many blocks to take at first use: half the pool divided by the members, so that a cut does
 * not hurt at once and nobody is left without.
 */
export function firstShare({ blockCount, blockSize }: PoolGeometry, members: number): number {
  const fair = Math.floor(blockCount / (shareDivisor * Math.max(members, 2)))
  return Math.max(1, Math.min(fair, Math.ceil(maxFirstShare / blockSize)))
}

/** How many addresses to keep free, so that the next container need not wait for the voters. */
export function spareAddresses({ blockSize }: PoolGeometry): number {
  return Math.max(1, Math.min(Math.floor(blockSize / 2), maxSpare))
}

/** Blocks, addresses that could be handed out, requests that wait. */
type Stock = Readonly<Record<'blocks' | 'fresh' | 'waiting', number>>

/** How many blocks to claim now. Grows with what is held, so that claims are rare. */
export function blocksToClaim(geometry: PoolGeometry, stock: Stock, members: number): number {
  const lacking = stock.waiting + spareAddresses(geometry) - stock.fresh
  if (lacking <= 0) return 0
  const needed = Math.ceil(lacking / geometry.blockSize)
  if (stock.blocks === 0) return Math.max(needed, firstShare(geometry, members))
  const growth = Math.min(stock.blocks >> 2, Math.ceil(maxFirstShare / geometry.blockSize))
  return Math.max(needed, growth)
}

/** How many blocks a member keeps when some are empty: its first share, or one more than used. */
export function blocksToKeep(geometry: PoolGeometry, leases: number, members: number): number {
  const used = Math.ceil((leases + spareAddresses(geometry)) / geometry.blockSize) + 1
  return Math.max(firstShare(geometry, members), used)
}
