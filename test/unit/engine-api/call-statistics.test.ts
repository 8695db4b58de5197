import { expect } from 'chai'
import { CallStatistics } from '../../../src/engine-api/call-statistics.ts'

describe('CallStatistics', () => {
  const at = Date.UTC(2026, 0, 2)

  it('is empty before the first call', () => {
    expect(new CallStatistics().summary()).to.deep.equal({})
  })

  it('keeps count, errors, the last error, the median and the longest, by method', () => {
    const calls = new CallStatistics()
    calls.record('b', 5, at, null)
    calls.record('b', 1, at, 'first')
    calls.record('b', 3, at + 1000, 'second')
    calls.record('a', 2, at, null)
    expect(calls.summary()).to.deep.equal({
      a: { count: 1, errors: 0, lastError: null, medianMs: 2, maxMs: 2 },
      b: {
        count: 3,
        errors: 2,
        lastError: { at: '2026-01-02T00:00:01.000Z', message: 'second' },
        medianMs: 3,
        maxMs: 5,
      },
    })
    expect(Object.keys(calls.summary())).to.deep.equal(['a', 'b'])
  })

  it('times only the last calls, and counts them all', () => {
    const calls = new CallStatistics()
    for (let n = 0; n < 5000; n++) calls.record('a', n < 4000 ? 1000 : 1, at, null)
    expect(calls.summary()['a']).to.include({ count: 5000, medianMs: 1, maxMs: 1 })
  })
})
