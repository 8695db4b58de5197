import type { Random } from '../../base/random.ts'

/** Enough that two are never the same: 64 bits. */
const idBytes = 8

/** A random id of a voter, a cluster or a roster. */
export function randomHex(random: Random): string {
  return Buffer.from(random.bytes(idBytes)).toString('hex')
}
