import { expect } from 'chai'
import fc from 'fast-check'
import { generateKeyPair, signFor } from '../../../../src/identity/certificates/keys.ts'
import {
  type Head,
  signHead,
  verifyHead,
} from '../../../../src/identity/certificates/signed-heads.ts'

const head: fc.Arbitrary<Head> = fc.record({
  origin: fc.string({ minLength: 1, maxLength: 20 }),
  epoch: fc.nat(2 ** 31 - 1),
  version: fc.nat(2 ** 31 - 1),
  digest: fc.uint8Array({ minLength: 32, maxLength: 32 }),
})

describe('identity/signed-heads', () => {
  const { privateKey, publicKey } = generateKeyPair()

  it('are good as their owner signed them, and in no other form', async () => {
    await fc.assert(
      fc.asyncProperty(head, head, async (one, other) => {
        const signature = signHead(one, privateKey)
        expect(await verifyHead(one, publicKey, signature)).to.equal(true)
        for (const field of ['origin', 'epoch', 'version', 'digest'] as const) {
          const mixed = { ...one, [field]: other[field] }
          const isSame = Buffer.from(JSON.stringify(mixed)).equals(Buffer.from(JSON.stringify(one)))
          expect(await verifyHead(mixed, publicKey, signature), field).to.equal(isSame)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('are of one key and one purpose', async () => {
    const one: Head = { origin: 'host1', epoch: 1, version: 2, digest: new Uint8Array(32) }
    const signature = signHead(one, privateKey)
    expect(await verifyHead(one, generateKeyPair().publicKey, signature)).to.equal(false)
    const elsewhere = signFor('enrolment 1', Buffer.from('host1'), privateKey)
    expect(await verifyHead(one, publicKey, elsewhere)).to.equal(false)
    expect(await verifyHead(one, publicKey, signature.subarray(1))).to.equal(false)
  })
})
