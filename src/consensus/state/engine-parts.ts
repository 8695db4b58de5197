import { Refused } from './section.ts'

/** A pool whose blocks are the parts that engines hand out from; see net/pool-parts.ts. */
interface Parts {
  readonly geometry: { readonly blockCount: number }
  ownerOf(part: number): number | undefined
}

/**
 * The parts that a member may have of a pool: with `lower` the lower half, which is one member's;
 * else those that it has, or the first free one of the upper half.
 */
export function partsFor(pool: Parts, member: number, lower: boolean): readonly number[] {
  const { blockCount } = pool.geometry
  const half = blockCount / 2
  const owned = (part: number): number => pool.ownerOf(part) ?? member
  const all = Array.from({ length: blockCount }, (_, part) => part)
  const mine = all.filter((part) => pool.ownerOf(part) === member)
  if (!lower && mine.length > 0) return mine
  const free = all.filter((part) => part < half === lower && owned(part) === member)
  if (!lower && free.length === 0) throw new Refused('NONE_LEFT')
  if (lower && free.length < half) throw new Refused('OWNED')
  return lower ? free : free.slice(0, 1)
}
