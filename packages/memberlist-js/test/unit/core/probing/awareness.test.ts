import { expect } from 'chai'
import { Awareness } from '../../../../src/core/probing/awareness.ts'

describe('awareness', () => {
  it('keeps the score from 0 to one below the multiplier, and tells of changes only', () => {
    const told: number[] = []
    const awareness = new Awareness(8, (score) => told.push(score))
    for (const delta of [-1, 3, 0, 9, 1, -2, -99]) awareness.adjust(delta)
    expect(told).to.deep.equal([3, 7, 5, 0])
  })

  it('stretches intervals by one more for each point', () => {
    const awareness = new Awareness(8, () => undefined)
    expect(awareness.scale(1000)).to.equal(1000)
    awareness.adjust(2)
    expect(awareness.scale(1000)).to.equal(3000)
    awareness.adjust(99)
    expect(awareness.scale(1000)).to.equal(8000)
  })
})
