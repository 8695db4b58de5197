import { expect } from 'chai'
import { backoffMs } from '../../../src/base/backoff.ts'

describe('waiting between retries', () => {
  it('doubles with each failure, up to the most, however many there were', () => {
    const retry = { firstMs: 100, maxMs: 1000 }
    const waits = [0, 1, 2, 3, 4, 5, 5000].map((failures) => backoffMs(retry, failures))
    expect(waits).to.deep.equal([100, 200, 400, 800, 1000, 1000, 1000])
  })
})
