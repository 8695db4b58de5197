import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { below, type Random } from '../../base/random.ts'
import { type Cidr, cidrBase, cidrBits, cidrOf, cidrSize } from '../../net/cidr.ts'
import { ipFromBytes, ipFromInteger, ipToInteger } from '../../net/ip.ts'
import { cidr, id, list, source, uint32 } from './fields.ts'

/** The fields of the command that chooses a pool. */
export const poolWish = v.object({
  id,
  kind: v.picklist(['shared', 'manager']),
  overlay: v.nullable(v.string()),
  ipv6: v.boolean(),
  sources: list(source, 64),
  avoid: list(cidr, 1024),
  start: uint32,
})

/** Where automatic pools may come from: prefixes of `length` within `cidr`. */
interface PoolSource {
  readonly cidr: Cidr
  readonly length: number
}

/**
 * The part of a unique local address that is the same in the whole cluster (RFC 4193 section 3).
 */
const ulaPrefixLength = 48
/** One link, one /64 (RFC 4291 section 2.5.4). */
const ulaPoolLength = 64

/**
 * Where IPv6 pools come from when none are set: the /64s of a unique local /48. Its 40 random bits
 * are a hash of the cluster's root, so that all members agree on it and other clusters have another
 * (RFC 4193 section 3.2).
 */
export function ulaSource(root: string): PoolSource {
  const digest = createHash('sha256').update(`ts-overlay ula ${root}`).digest()
  const bytes = Uint8Array.of(0xfd, ...digest.subarray(0, 5), ...new Uint8Array(10))
  return { cidr: cidrOf(ipFromBytes(bytes)!, ulaPrefixLength), length: ulaPoolLength }
}

/**
 * The pools of the sources that overlap none of `taken`, each once, lazily. It begins at a random
 * place, so that hosts that choose at the same moment rarely choose the same.
 */
export function* freePools(
  sources: readonly PoolSource[],
  taken: readonly Cidr[],
  random: Random,
): Generator<Cidr> {
  const first = below(random, sources.length)
  for (let i = 0; i < sources.length; i++) {
    yield* freeIn(sources[(first + i) % sources.length]!, taken, random)
  }
}

function* freeIn(
  { cidr, length }: PoolSource,
  taken: readonly Cidr[],
  random: Random,
): Generator<Cidr> {
  const bits = cidrBits(cidr)
  const base = ipToInteger(cidrBase(cidr))
  const size = 1n << BigInt(bits - length)
  const count = cidrSize(cidr) / size
  const occupied = taken
    .filter((other) => cidrBits(other) === bits)
    .map((other) => placesOf(other, base, size))
    .filter(({ last, first }) => last >= 0n && first < count)
    .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0))
  const start = (BigInt(random.uint32()) * count) >> 32n
  for (const [from, to] of [
    [start, count],
    [0n, start],
  ] as const) {
    for (const place of freePlaces(from, to, occupied)) {
      yield cidrOf(ipFromInteger(base + place * size, bits), length)
    }
  }
}

interface Places {
  readonly first: bigint
  readonly last: bigint
}

/**
 * Which of the source's places a prefix covers; outside of the source they are below 0 or past the
 * end.
 */
function placesOf(cidr: Cidr, base: bigint, size: bigint): Places {
  const start = ipToInteger(cidrBase(cidr)) - base
  const end = start + cidrSize(cidr) - 1n
  return { first: floorDiv(start, size), last: floorDiv(end, size) }
}

function* freePlaces(from: bigint, to: bigint, occupied: readonly Places[]): Generator<bigint> {
  let place = from
  for (const { first, last } of occupied) {
    for (; place < first && place < to; place++) yield place
    if (last >= place) place = last + 1n
  }
  for (; place < to; place++) yield place
}

function floorDiv(a: bigint, b: bigint): bigint {
  const quotient = a / b
  return a < 0n && quotient * b !== a ? quotient - 1n : quotient
}
