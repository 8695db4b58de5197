import { expect } from 'chai'
import fc from 'fast-check'
import { lzwDecode, lzwEncode } from '../../../../src/wire/layers/lzw.ts'
import { WireError } from '../../../../src/wire/wire-error.ts'
import { fromHex, loadVectors, toHex, type LzwVector } from '../../../support/vectors.ts'

const LIMIT = 1 << 20

/** Texts of few letters, so that long strings enter the table and it fills up. */
const compressible = fc
  .tuple(fc.integer({ min: 1, max: 256 }), fc.integer({ min: 0, max: 70_000 }), fc.nat())
  .map(([letters, length, seed]) => pseudoText(letters, length, seed))

describe('LZW', () => {
  for (const { name, plain, withClear, withoutClear } of loadVectors<LzwVector[]>('lzw')) {
    it(`agrees with Go on ${name}`, () => {
      expect(toHex(lzwEncode(fromHex(plain)))).to.equal(withClear)
      expect(toHex(lzwEncode(fromHex(plain), { startWithClear: false }))).to.equal(withoutClear)
      expect(toHex(lzwDecode(fromHex(withClear), LIMIT))).to.equal(plain)
      expect(toHex(lzwDecode(fromHex(withoutClear), LIMIT))).to.equal(plain)
    })
  }

  it('gives back what was put in, in both dialects, also when the table overflows', () => {
    fc.assert(
      fc.property(compressible, fc.boolean(), (plain, startWithClear) => {
        const back = lzwDecode(lzwEncode(plain, { startWithClear }), LIMIT)
        return Buffer.compare(back, plain) === 0
      }),
      { numRuns: 60 },
    )
  })

  it('refuses to expand beyond the limit', () => {
    const bomb = lzwEncode(new Uint8Array(200_000))
    expect(bomb.length).to.be.lessThan(2000)
    expect(lzwDecode(bomb, 200_000).length).to.equal(200_000)
    expectWireError(() => lzwDecode(bomb, 199_999), 'too-large')
  })

  it('refuses data without an end, and codes that cannot be', () => {
    const whole = lzwEncode(Buffer.from('TOBEORNOTTOBEORTOBEORNOT'))
    expectWireError(() => lzwDecode(whole.subarray(0, -2), LIMIT), 'truncated')
    // 9-bit codes from the low bit up: 300 as the first code was never defined.
    expectWireError(() => lzwDecode(Uint8Array.of(300 & 0xff, 300 >> 8, 0), LIMIT), 'malformed')
  })
})

function expectWireError(step: () => unknown, code: string): void {
  expect(step).to.throw(WireError).with.property('code', code)
}

function pseudoText(letters: number, length: number, seed: number): Uint8Array {
  let state = seed >>> 0
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state >>> 16) % letters
  })
}
