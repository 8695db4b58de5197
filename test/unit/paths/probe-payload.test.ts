import { expect } from 'chai'
import fc from 'fast-check'
import { decodeProbe, encodeProbe } from '../../../src/paths/probe-payload.ts'

const uint32 = fc.integer({ min: 0, max: 2 ** 32 - 1 })

describe('probes', () => {
  it('are decoded as they were encoded, whatever zeros follow', () => {
    const kinds = fc.constantFrom('probe' as const, 'echo' as const)
    const names = fc.string({ maxLength: 63 })
    fc.assert(
      fc.property(kinds, uint32, uint32, names, (kind, nonce, sequence, sender) => {
        const probe = { kind, nonce, sequence, sender }
        const padded = Buffer.concat([encodeProbe(probe), Buffer.alloc(100)])
        expect(decodeProbe(padded)).to.deep.equal(probe)
      }),
    )
  })

  it('of others are none', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => decodeProbe(bytes) === null))
  })
})
