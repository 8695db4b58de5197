import { assert } from '../base/errors.ts'
import { type Cidr, cidrBits, cidrLength, cidrSize, ipAt, offsetIn } from './cidr.ts'
import type { Ip } from './ip.ts'

/**
 * Of an IPv6 pool only the first 2^24 addresses are handed out: a /64 has more than can be counted
 * in a number, and 16 million are more than any cluster has containers.
 */
const maxIpv6HostBits = 24

/** Pools with at most this many host bits (16 addresses) are handed out address by address. */
const tinyHostBits = 4

/** How a pool is divided. Offsets count from the pool's first address. */
export interface PoolGeometry {
  readonly cidr: Cidr
  /** Addresses that can be handed out at all lie at offsets below this. */
  readonly span: number
  readonly blockSize: number
  readonly blockCount: number
  /** The first and the last offset that a host may have. */
  readonly first: number
  readonly last: number
}

/** Offsets from `first` to `last`, both included. */
export interface OffsetRange {
  readonly first: number
  readonly last: number
}

/**
 * The division of a pool. Half of the host bits, less one, go into a block: a /24 has 32 blocks of
 * 8, a /16 has 512 blocks of 128. So a small cluster wastes little of a small pool, and a large
 * pool needs few votes. The same on every member and in every version: blocks are agreed on by
 * number.
 */
export function geometryOf(cidr: Cidr): PoolGeometry {
  const ipv6 = cidrBits(cidr) === 128
  const allHostBits = cidrBits(cidr) - cidrLength(cidr)
  const hostBits = ipv6 ? Math.min(allHostBits, maxIpv6HostBits) : allHostBits
  const blockBits = hostBits <= tinyHostBits ? 0 : Math.floor((hostBits - 2) / 2)
  const span = 2 ** hostBits
  const { first, last } = usableRange(ipv6, hostBits, span)
  return {
    cidr,
    span,
    blockSize: 2 ** blockBits,
    blockCount: 2 ** (hostBits - blockBits),
    first,
    last,
  }
}

/**
 * The network address and IPv4's broadcast address are no host's (RFC 919), nor is IPv6's
 * subnet-router anycast address (RFC 4291 section 2.6.1). A /31 and a /127 have only hosts (RFC
 * 3021, RFC 6164).
 */
function usableRange(ipv6: boolean, hostBits: number, span: number): OffsetRange {
  if (hostBits <= 1) return { first: 0, last: span - 1 }
  return { first: 1, last: ipv6 ? span - 1 : span - 2 }
}

/** The offset of `ip`, or null when it lies outside the part of the pool that is handed out. */
export function offsetOf(geometry: PoolGeometry, ip: Ip): number | null {
  const offset = offsetIn(geometry.cidr, ip)
  return offset < BigInt(geometry.span) ? Number(offset) : null
}

/** The address at an offset. */
export function addressAt(geometry: PoolGeometry, offset: number): Ip {
  return ipAt(geometry.cidr, BigInt(offset))
}

/** Whether a host may have the address at this offset. */
export function isUsable(geometry: PoolGeometry, offset: number): boolean {
  return offset >= geometry.first && offset <= geometry.last
}

/** The block that an offset belongs to. */
export function blockOf(geometry: PoolGeometry, offset: number): number {
  return Math.floor(offset / geometry.blockSize)
}

/** The usable offsets of a block that lie in `within`; null when there are none. */
export function blockRange(
  geometry: PoolGeometry,
  index: number,
  within: OffsetRange = geometry,
): OffsetRange | null {
  assert(index >= 0 && index < geometry.blockCount, `block ${index} of ${geometry.cidr}`)
  const start = index * geometry.blockSize
  const first = Math.max(start, within.first, geometry.first)
  const last = Math.min(start + geometry.blockSize - 1, within.last, geometry.last)
  return first <= last ? { first, last } : null
}

/** How many offsets a range has. */
export function rangeSize(range: OffsetRange | null): number {
  return range === null ? 0 : range.last - range.first + 1
}

/** The usable offsets of a sub-pool (`--ip-range`) of the pool; null when there are none. */
export function subRange(geometry: PoolGeometry, sub: Cidr): OffsetRange | null {
  const start = offsetIn(geometry.cidr, ipAt(sub, 0n))
  const end = start + cidrSize(sub) - 1n
  if (start > BigInt(geometry.last)) return null
  const first = Math.max(Number(start), geometry.first)
  const last = end < BigInt(geometry.last) ? Number(end) : geometry.last
  return first <= last ? { first, last } : null
}

/** How many addresses of the pool hosts may have. */
export function usableCount(geometry: PoolGeometry): number {
  return geometry.last - geometry.first + 1
}
