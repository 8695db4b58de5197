import { type Cidr, cidrBits, cidrLength, cidrOf, ipAt } from './cidr.ts'
import { geometryOf, type PoolGeometry } from './pool-geometry.ts'

/** A pool has at most 2^8 parts, so at most 128 members besides the first. */
const maxPartBits = 8

/**
 * How a pool that engines hand out from is divided: into equal parts, each a prefix, which take the
 * place of blocks. A /16 has 256 parts of 256 addresses, a /24 has 16 of 16. The member that made
 * the network has the lower half, since its engine counts up from the lowest address; each other
 * member has one part of the upper half. The same on every member and in every version.
 */
export function partsOf(cidr: Cidr): PoolGeometry {
  const hostBits = cidrBits(cidr) - cidrLength(cidr)
  const partBits = Math.min(maxPartBits, Math.max(1, hostBits >> 1))
  return { ...geometryOf(cidr), blockSize: 2 ** (hostBits - partBits), blockCount: 2 ** partBits }
}

/** The lower half of a pool. */
export function lowerHalf(cidr: Cidr): Cidr {
  return cidrOf(ipAt(cidr, 0n), cidrLength(cidr) + 1)
}

/** The prefixes that these parts are: the lower half as one, and each part of the upper half. */
export function partPrefixes(cidr: Cidr, parts: readonly number[]): Cidr[] {
  const { blockCount, blockSize } = partsOf(cidr)
  const half = blockCount / 2
  const length = cidrLength(cidr) + Math.log2(blockCount)
  const slices = parts
    .filter((part) => part >= half)
    .map((part) => cidrOf(ipAt(cidr, BigInt(part) * BigInt(blockSize)), length))
  return parts.length - slices.length === half ? [lowerHalf(cidr), ...slices] : slices
}
