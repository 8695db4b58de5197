import { createPublicKey } from 'node:crypto'
import { expect } from 'chai'
import { agreementKey, sharedSecret } from '../../../../src/identity/certificates/agreement.ts'
import { decodePublicKey, generateKeyPair } from '../../../../src/identity/certificates/keys.ts'

describe('identity/agreement', () => {
  it('gives two members one secret, and each pair another', () => {
    for (let i = 0; i < 20; i++) {
      const [a, b, c] = [generateKeyPair(), generateKeyPair(), generateKeyPair()]
      const ab = sharedSecret(agreementKey(a.privateKey), b.publicKey)!
      const ba = sharedSecret(agreementKey(b.privateKey), a.publicKey)!
      const ac = sharedSecret(agreementKey(a.privateKey), c.publicKey)!
      expect(ab).to.deep.equal(ba)
      expect(ab).to.have.length(32)
      expect(ab).to.not.deep.equal(ac)
    }
  })

  it('maps the base point of one curve to that of the other (RFC 7748 section 4.1)', () => {
    // y = 4/5 of edwards25519 is u = 9 of curve25519: the secret with it is the public key.
    const der = Buffer.from(`302a300506032b657003210058${'66'.repeat(31)}`, 'hex')
    const own = agreementKey(generateKeyPair().privateKey)
    const spki = createPublicKey(own).export({ type: 'spki', format: 'der' })
    expect(sharedSecret(own, decodePublicKey(der)!)).to.deep.equal(spki.subarray(-32))
  })

  it('is none with a point of small order', () => {
    const own = agreementKey(generateKeyPair().privateKey)
    for (const y of ['01' + '00'.repeat(31), 'ec' + 'ff'.repeat(30) + '7f']) {
      const key = decodePublicKey(Buffer.from(`302a300506032b6570032100${y}`, 'hex'))
      if (key !== null) expect(sharedSecret(own, key), y).to.equal(null)
    }
  })
})
