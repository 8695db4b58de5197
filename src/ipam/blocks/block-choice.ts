import { createHash } from 'node:crypto'
import { blockRange, type OffsetRange, type PoolGeometry } from '../../net/pool-geometry.ts'

/**
 * The blocks of a pool in the order in which `member` should try to get them: every member has an
 * order of its own, the same each time, so that members that claim at the same moment rarely ask for
 * the same block. Blocks without a usable address in `within` are left out.
 */
export function blockOrder(
  geometry: PoolGeometry,
  member: string,
  within: OffsetRange = geometry,
): number[] {
  const seed = createHash('sha256').update(`${member} ${geometry.cidr}`).digest().readUInt32LE()
  const first = Math.floor(within.first / geometry.blockSize)
  const last = Math.floor(within.last / geometry.blockSize)
  const ranked: { index: number; rank: number }[] = []
  for (let index = first; index <= last; index++) {
    if (blockRange(geometry, index, within) === null) continue
    ranked.push({ index, rank: mix(seed ^ index) })
  }
  ranked.sort((a, b) => a.rank - b.rank || a.index - b.index)
  return ranked.map(({ index }) => index)
}

/** A 32-bit bijection that spreads neighbouring numbers: murmur3's finaliser (public domain). */
function mix(value: number): number {
  let mixed = value >>> 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}
