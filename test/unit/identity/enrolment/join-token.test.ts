import { expect } from 'chai'
import fc from 'fast-check'
import { seededRandom } from '../../../../src/base/random.ts'
import {
  type IssuedToken,
  type JoinToken,
  afterUse,
  formatJoinToken,
  isTokenProof,
  newJoinToken,
  parseJoinToken,
  tokenBits,
  tokenFault,
  tokenId,
  tokenProof,
} from '../../../../src/identity/enrolment/join-token.ts'

const digest = 'ab'.repeat(32)
const token = newJoinToken(digest, seededRandom(1))

function parsed(text: string): JoinToken | null {
  const result = parseJoinToken(text)
  return 'value' in result ? result.value : null
}

describe('identity/join-token', () => {
  it('comes back from its text', () => {
    const text = formatJoinToken(token)
    expect(text).to.match(/^TSO-1-[0-9a-f]{64}-[0-9a-f]{64}$/)
    expect(parsed(text)).to.deep.equal(token)
  })

  it('is refused when cut off anywhere, without being repeated', () => {
    const text = formatJoinToken(token)
    for (let length = 4; length < text.length; length++) {
      const result = parseJoinToken(text.slice(0, length))
      expect(result, `${length}`).to.have.property('reason')
      expect(JSON.stringify(result)).to.not.include(text.slice(0, 12))
    }
  })

  it('may be chosen with 128 bits or more', () => {
    for (const good of [
      '0123456789abcdef0123456789abcdef',
      'qT7vK2mZx9LwR4nB8sYc3d',
      'k9+/'.repeat(8) + 'wXyZ',
    ])
      expect(parsed(good), good).to.deep.equal({ authority: null, secret: good })
    for (const bad of [
      'secret',
      '1'.repeat(64),
      '0123456789abcdef0123456789abcde',
      'abababababababababababababababab',
      'x'.repeat(300),
    ])
      expect(parsed(bad), bad).to.equal(null)
    expect(tokenBits('0123456789')).to.be.closeTo(33.2, 0.1)
  })

  it('is named without being shown', () => {
    expect(tokenId(token)).to.match(/^[0-9a-f]{16}$/)
    expect(token.secret).to.not.include(tokenId(token))
    expect(tokenId({ ...token, authority: null })).to.equal(tokenId(token))
  })

  it('is proved for one side, one channel and one message alone', () => {
    const bytes = fc.uint8Array({ maxLength: 40 })
    fc.assert(
      fc.property(bytes, bytes, bytes, bytes, (channel, message, channel2, message2) => {
        const proof = tokenProof('newcomer', token, channel, message)
        expect(isTokenProof(proof, tokenProof('newcomer', token, channel, message))).to.equal(true)
        const other = { ...token, secret: `${token.secret.slice(1)}0` }
        const isSame =
          Buffer.from(channel).equals(channel2) && Buffer.from(message).equals(message2)
        for (const wrong of [
          tokenProof('cluster', token, channel, message),
          tokenProof('newcomer', other, channel, message),
          ...(isSame ? [] : [tokenProof('newcomer', token, channel2, message2)]),
        ])
          expect(isTokenProof(proof, wrong)).to.equal(false)
        expect(isTokenProof(proof.subarray(1), proof)).to.equal(false)
      }),
    )
  })

  it('ends by time and by uses', () => {
    const issued: IssuedToken = { token, notAfter: 1000, usesLeft: 2 }
    expect(tokenFault(issued, 1000)).to.equal(null)
    expect(tokenFault(issued, 1001)).to.match(/expired/)
    expect(tokenFault(afterUse(issued), 0)).to.equal(null)
    expect(tokenFault(afterUse(afterUse(issued)), 0)).to.match(/used up/)
    expect(tokenFault(undefined, 0)).to.match(/no such token/)
    const unlimited: IssuedToken = { token, notAfter: null, usesLeft: null }
    expect(tokenFault(afterUse(unlimited), 1e15)).to.equal(null)
  })
})
