import { expect } from 'chai'
import {
  isRecoveryOf,
  prevailing,
  recoveredId,
} from '../../../../src/consensus/membership/founding.ts'

describe('of several clusters', () => {
  it('the one of more members prevails, of equal ones the lower id', () => {
    expect(prevailing(['', ''])).to.equal(null)
    expect(prevailing(['b', 'a', 'b', ''])).to.equal('b')
    expect(prevailing(['b', 'a'])).to.equal('a')
  })

  it('a recovered one comes after that which it was recovered from', () => {
    const first = recoveredId('ab.0.cd', 'ef')
    expect(isRecoveryOf(first, 'ab.0.cd')).to.equal(true)
    expect(isRecoveryOf('ab.0.cd', first)).to.equal(false)
    expect(isRecoveryOf(recoveredId('xx.0.cd', 'ef'), 'ab.0.cd')).to.equal(false)
    expect(isRecoveryOf(recoveredId(first, 'gh'), first)).to.equal(true)
    expect(isRecoveryOf(recoveredId('ab.0.cd', 'gh'), first)).to.equal(false)
  })
})
