import { randomFillSync } from 'node:crypto'
import type { Random } from './random.ts'

// Words are drawn from a pool, because one call to the operating system per word costs about a
// microsecond.
const pool = new Uint32Array(1024)
let used = pool.length

/** The operating system's cryptographic source. */
export const systemRandom: Random = {
  uint32() {
    if (used === pool.length) {
      randomFillSync(pool)
      used = 0
    }
    return pool[used++]!
  },
  bytes: (n) => randomFillSync(new Uint8Array(n)),
}
