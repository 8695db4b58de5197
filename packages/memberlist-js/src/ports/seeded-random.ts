import type { Random } from './random.ts'

/**
 * A repeatable source for tests: xoshiro128** by Blackman and Vigna (2018), seeded through
 * splitmix32. Not for keys or nonces.
 */
export function seededRandom(seed: number): Random {
  let mixer = seed >>> 0
  const splitmix = () => {
    mixer = (mixer + 0x9e3779b9) >>> 0
    let z = mixer
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    return (z ^ (z >>> 16)) >>> 0
  }
  let [a, b, c, d] = [splitmix(), splitmix(), splitmix(), splitmix()]
  const uint32 = () => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0
    const t = b << 9
    c ^= a
    d ^= b
    b ^= c
    a ^= d
    c ^= t
    d = rotateLeft(d, 11)
    return result
  }
  const bytes = (n: number) => {
    const out = new Uint8Array(n)
    for (let i = 0; i < n; i++) out[i] = uint32() >>> 24
    return out
  }
  return { uint32, bytes }
}

function rotateLeft(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by))
}
