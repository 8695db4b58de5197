import { expect } from 'chai'
import { Measure } from '../../simulation/support/measure.ts'

describe('support/measure', () => {
  it('names the seed of the slowest world when a limit is passed', () => {
    const measure = new Measure('test/simulation/x.test.ts', 'writes')
    for (const [seed, ms] of [
      [7, 10],
      [8, 250],
      [9, 30],
    ] as const) {
      measure.add(seed, ms)
    }
    measure.check({ median: 30, p90: 250, most: 250 })
    expect(() => measure.check({ most: 249 })).to.throw(
      'writes: most 250 ms; 249 is the limit, 250 the slowest\nreplay: SEED=8 npx mocha test/simulation/x.test.ts',
    )
    expect(() => measure.check({ median: 29 })).to.throw('median 30 ms')
  })

  it('does not pass when nothing was measured', () => {
    const check = (): void => new Measure('x', 'writes').check({ most: 10 })
    expect(check).to.throw('nothing was measured')
  })
})
