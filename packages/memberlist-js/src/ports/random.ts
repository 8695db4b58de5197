/** Where this package gets chance from. A test passes a seeded one. */
export interface Random {
  /** A uniform integer in [0, 2^32). */
  uint32(): number
  /** `n` random bytes; for the system's source fit for nonces. */
  bytes(n: number): Uint8Array
}

/** A uniform integer in [0, n), without modulo bias. `n` is a positive integer of at most 2^32. */
export function below(random: Random, n: number): number {
  const limit = 2 ** 32 - (2 ** 32 % n)
  for (;;) {
    const draw = random.uint32()
    if (draw < limit) return draw % n
  }
}

/** A uniform number in [0, 1) with 32 bits of resolution. */
export function fraction(random: Random): number {
  return random.uint32() / 2 ** 32
}

/** Fisher and Yates: shuffles in place, every order equally likely. */
export function shuffle<T>(random: Random, items: T[]): void {
  for (let i = items.length - 1; i > 0; i--) swap(items, i, below(random, i + 1))
}

/**
 * Up to `count` different items that satisfy `wanted`, uniformly chosen. Reorders `items`; each is
 * looked at once at most, so a few eligible ones among many are always found.
 */
export function sample<T>(
  random: Random,
  items: T[],
  count: number,
  wanted: (item: T) => boolean,
): T[] {
  const chosen: T[] = []
  for (let i = 0; i < items.length && chosen.length < count; i++) {
    swap(items, i, i + below(random, items.length - i))
    const item = items[i]!
    if (wanted(item)) chosen.push(item)
  }
  return chosen
}

function swap<T>(items: T[], a: number, b: number): void {
  const held = items[a]!
  items[a] = items[b]!
  items[b] = held
}
