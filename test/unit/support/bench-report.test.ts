import { expect } from 'chai'
import { cellsOf, linesOf } from '../../../bench/report.ts'

const bars = { fast: { unit: 'ms', atMost: 10 }, wide: { unit: '', atLeast: 0.9 } }

describe('the report of a bench', () => {
  it('says what misses its bar, and what has none', () => {
    const figures = [
      { name: 'fast', value: 11 },
      { name: 'wide', value: 0.95 },
      { name: 'other', value: 3 },
    ]
    const lines = linesOf(figures, [], bars)
    expect(lines.map(({ name, keepsBar }) => [name, keepsBar])).to.deep.equal([
      ['fast', false],
      ['wide', true],
      ['other', true],
    ])
    expect(cellsOf(lines[0]!)).to.deep.equal(['fast', '11 ms', 'at most 10: MISSED', '', ''])
  })

  it('compares with the median of the last five runs that had the figure', () => {
    const run = (value: number) => [{ name: 'fast', value }]
    const history = [run(100), run(4), run(5), [], run(6), run(5), run(5)]
    const [line] = linesOf(run(6), history, bars)
    expect(line!.before).to.deep.equal([4, 5, 6, 5, 5])
    expect(cellsOf(line!)).to.deep.equal(['fast', '6 ms', 'at most 10', '4 5 6 5 5', '+20 %'])
  })

  it('takes the largest value of a name that was told twice', () => {
    const figures = [3, 8, 4].map((value) => ({ name: 'fast', value }))
    expect(linesOf(figures, [], bars).map(({ value }) => value)).to.deep.equal([8])
  })
})
