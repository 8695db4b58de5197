import { expect } from 'chai'
import { tallyOf } from '../../support/lab/pinger.ts'

const answer = (ms: number, sequence: number, more = ''): string =>
  `[${((1_700_000_000_000 + ms) / 1000).toFixed(6)}] 64 bytes from 10.0.0.2: icmp_seq=${sequence} ttl=64 time=0.1 ms${more}`

describe("the tally of a pinger's output", () => {
  it('is nothing of nothing', () => {
    expect(tallyOf('ping: unknown host')).to.deep.equal({ sent: 0, lost: 0, gapMs: 0 })
  })

  it('counts what was lost between two answers, and the longest silence', () => {
    const lines = [answer(0, 1), answer(10, 2), answer(60, 7), answer(70, 8)]
    expect(tallyOf(lines.join('\n'))).to.deep.equal({ sent: 8, lost: 4, gapMs: 50 })
  })

  it('takes an answer that comes twice or late for one', () => {
    const lines = [answer(0, 2), answer(1, 1), answer(2, 2, ' (DUP!)'), answer(3, 3)]
    expect(tallyOf(lines.join('\n'))).to.include({ sent: 3, lost: 0 })
  })

  it('counts the first requests too', () => {
    expect(tallyOf(answer(0, 5))).to.include({ sent: 5, lost: 4 })
  })
})
