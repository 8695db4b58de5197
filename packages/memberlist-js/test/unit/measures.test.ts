import { expect } from 'chai'
import { lan } from 'memberlist-js'
import { broadcastTimes, median, quantile } from '../support/measures.ts'
import { SEED } from '../support/seed.ts'

describe('the measures', () => {
  it('count the broadcasts that miss somebody apart from the times of the others', async () => {
    // Each tells one other, once: sooner or later all tell those who know.
    const config = { ...lan, retransmitMult: 1, gossipNodes: 1, pushPullIntervalMs: 0 }
    const { times, missed } = await broadcastTimes({ seed: SEED, size: 9, config }, 10)
    expect(missed).to.be.within(1, 10)
    expect(times.length).to.equal(10 - missed)
    expect(times.every(Number.isFinite)).to.equal(true)
  })

  it('take no quantile of what did not happen', () => {
    expect(median([3, 1, 2])).to.equal(2)
    expect(quantile([3, 1, 2], 0.99)).to.equal(3)
    expect(() => median([1, NaN, 2])).to.throw('no place among the times')
  })
})
