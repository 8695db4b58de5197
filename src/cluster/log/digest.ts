/**
 * A digest of a replica, for anti-entropy: do two replicas hold the same? Every known origin has a
 * 64-bit hash of (name, epoch, prefix); a bucket is the XOR of the hashes of its origins, the root
 * the XOR of the buckets. XOR makes it incremental: an origin is taken out with its old hash and
 * put in with its new one. It is no defence against forgery: signed-head.ts is.
 */
import { createHash } from 'node:crypto'
import { ByteReader, ByteWriter, CodecError, type Packed, pack } from '../../base/bytes.ts'

/** One differing origin of 1000 costs about 16 version summaries; all buckets take 512 bytes. */
const bucketCount = 64

/** 64 bits as two unsigned 32-bit halves; bigint is a hundred times slower. */
export interface Hash {
  readonly high: number
  readonly low: number
}

/** The eight bytes that stand for an origin in messages: the start of its name's SHA-256. */
export function oidOfName(name: string): Packed {
  return pack(createHash('sha256').update(name, 'utf8').digest().subarray(0, 8))
}

/** Which bucket an origin belongs to: the first six bits of its oid. */
export function bucketOf(oid: Packed): number {
  return oid.charCodeAt(0) >> 2
}

/** The hash of an origin's state. */
export function hashOf(oid: Packed, epoch: number, prefix: number): Hash {
  const words = [
    word(oid, 0),
    word(oid, 4),
    epoch >>> 0,
    Math.floor(epoch / 0x1_0000_0000),
    prefix >>> 0,
    Math.floor(prefix / 0x1_0000_0000),
  ]
  let high = 0x9e3779b9
  let low = 0x85ebca6b
  for (const next of words) {
    high = mix(high ^ next)
    low = mix(low + next + Math.imul(high, 5))
  }
  return { high: mix(high + low), low }
}

/** The buckets of one replica. */
export class Digest {
  readonly #words = new Uint32Array(2 * bucketCount)

  /** Puts an origin's hash in, or takes it out when it is in. */
  toggle(oid: Packed, { high, low }: Hash): void {
    const at = 2 * bucketOf(oid)
    this.#words[at] = this.#words[at]! ^ high
    this.#words[at + 1] = this.#words[at + 1]! ^ low
  }

  /** The XOR of all buckets. */
  root(): Hash {
    let high = 0
    let low = 0
    for (let at = 0; at < this.#words.length; at += 2) {
      high ^= this.#words[at]!
      low ^= this.#words[at + 1]!
    }
    return { high: high >>> 0, low: low >>> 0 }
  }

  /** All buckets: 512 bytes. */
  bytes(): Uint8Array {
    const out = new ByteWriter()
    for (const value of this.#words) out.uint(value, 4)
    return out.bytes()
  }

  /**
   * The numbers of the buckets that differ from those in `bytes`. Throws CodecError when cut short.
   */
  differing(bytes: Uint8Array): number[] {
    if (bytes.length < 8 * bucketCount) throw new CodecError('a digest is cut short')
    const reader = new ByteReader(bytes)
    const found: number[] = []
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      const high = reader.uint(4)
      const low = reader.uint(4)
      const same = high === this.#words[2 * bucket] && low === this.#words[2 * bucket + 1]
      if (!same) found.push(bucket)
    }
    return found
  }
}

/** The finishing steps of murmur3's 32-bit hash: every input bit reaches every output bit. */
function mix(value: number): number {
  let mixed = value >>> 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

function word(oid: Packed, at: number): number {
  const high = (oid.charCodeAt(at) << 8) | oid.charCodeAt(at + 1)
  return ((high << 16) | (oid.charCodeAt(at + 2) << 8) | oid.charCodeAt(at + 3)) >>> 0
}
