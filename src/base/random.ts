import { randomBytes } from 'node:crypto'

/** Randomness as a port, so that a run can be replayed from its seed. */
export interface Random {
  /** A uniform integer in [0, 2^32). */
  uint32(): number
  /** `n` uniform bytes. */
  bytes(n: number): Uint8Array
}

/** The kernel's randomness. */
export const systemRandom: Random = {
  uint32: () => randomBytes(4).readUInt32LE(),
  bytes: (n) => new Uint8Array(randomBytes(n)),
}

/** A uniform integer in [0, n), for 1 <= n <= 2^32. The bias is below n / 2^32. */
export function below(random: Random, n: number): number {
  return Math.floor((random.uint32() / 0x1_0000_0000) * n)
}

/** One element, each equally likely; undefined when there is none. */
export function pick<T>(random: Random, items: readonly T[]): T | undefined {
  return items[below(random, items.length)]
}

/** A new array with the same elements in random order (Fisher and Yates). */
export function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i--) {
    const j = below(random, i + 1)
    const swapped = result[i]!
    result[i] = result[j]!
    result[j] = swapped
  }
  return result
}

/** `n` different elements at random, or all when there are no more. */
export function sample<T>(random: Random, items: readonly T[], n: number): T[] {
  if (items.length <= n) return [...items]
  const chosen = new Set<number>()
  while (chosen.size < n) chosen.add(below(random, items.length))
  return Array.from(chosen, (index) => items[index]!)
}

/**
 * A small seeded generator for tests and simulations: the mulberry32 construction, a 32-bit counter
 * through a mixing function. Not for secrets.
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const uint32 = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  return { uint32, bytes: (n) => Uint8Array.from({ length: n }, () => uint32() & 0xff) }
}
