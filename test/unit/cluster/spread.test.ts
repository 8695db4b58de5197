import { expect } from 'chai'
import { seededRandom } from '../../../src/base/random.ts'
import { pushesAt, sample } from '../../../src/cluster/spread.ts'

describe('cluster/spread', () => {
  it('pushes to ln N members, so that as few are left out of many as of some', () => {
    expect([1, 3, 100, 149, 405, 1000, 1097].map(pushesAt)).to.deep.equal([0, 1, 4, 5, 6, 6, 7])
  })

  it('chooses different members, each equally likely', () => {
    const random = seededRandom(1)
    const chosen = new Map<number, number>()
    for (let i = 0; i < 3000; i++) {
      const some = sample(random, [1, 2, 3, 4, 5], 2)
      expect(new Set(some).size).to.equal(2)
      for (const each of some) chosen.set(each, (chosen.get(each) ?? 0) + 1)
    }
    for (const each of [1, 2, 3, 4, 5]) expect(chosen.get(each)).to.be.within(1080, 1320)
    expect(sample(random, [1, 2], 3)).to.deep.equal([1, 2])
  })
})
