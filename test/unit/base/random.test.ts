import { expect } from 'chai'
import { sample, seededRandom } from '../../../src/base/random.ts'

describe('base/random', () => {
  it('takes a sample of different elements, each equally likely', () => {
    const random = seededRandom(1)
    const chosen = new Map<number, number>()
    for (let i = 0; i < 3000; i++) {
      const some = sample(random, [1, 2, 3, 4, 5], 2)
      expect(new Set(some).size).to.equal(2)
      for (const each of some) chosen.set(each, (chosen.get(each) ?? 0) + 1)
    }
    for (const each of [1, 2, 3, 4, 5]) expect(chosen.get(each)).to.be.within(1080, 1320)
  })

  it('takes all when there are no more', () => {
    expect(sample(seededRandom(1), [1, 2], 3)).to.deep.equal([1, 2])
  })
})
