import { expect } from 'chai'
import { faultsOf, tallyOf } from '../../support/lab/pinger.ts'

const answer = (ms: number, sequence: number, more = ''): string =>
  `[${((1_700_000_000_000 + ms) / 1000).toFixed(6)}] 64 bytes from 10.0.0.2: icmp_seq=${sequence} ttl=64 time=0.1 ms${more}`

/** Requests `first` to `last`, all answered, 10 ms apart. */
const answers = (first: number, last: number): string[] =>
  Array.from({ length: last - first + 1 }, (_, n) => answer((first + n) * 10, first + n))

/** What a ping writes that has had these answers and has sent so many requests. */
const outputOf = (lines: readonly string[], sent: number): string =>
  [
    'PING 10.0.0.2 (10.0.0.2) 56(84) bytes of data.',
    ...lines,
    '',
    '--- 10.0.0.2 ping statistics ---',
    `${sent} packets transmitted, ${lines.length} received, 0% packet loss, time ${sent * 10}ms`,
    'rtt min/avg/max/mdev = 0.046/0.077/0.124/0.018 ms',
  ].join('\n')

const quiet = { sent: 150, lost: 0, silentMs: 10 }

describe("the tally of a pinger's output", () => {
  it('is refused while ping has not ended', () => {
    expect(() => tallyOf('ping: unknown host')).to.throw('no end of a ping: …ping: unknown host')
    expect(() => tallyOf(answers(1, 9).join('\n'))).to.throw('no end of a ping')
  })

  it('is no loss when all were answered', () => {
    expect(tallyOf(outputOf(answers(1, 150), 150))).to.deep.equal(quiet)
  })

  it('counts what was lost between two answers, and the longest silence', () => {
    const lines = [answer(0, 1), answer(10, 2), answer(60, 7), answer(70, 8)]
    expect(tallyOf(outputOf(lines, 8))).to.deep.equal({ sent: 8, lost: 4, silentMs: 50 })
  })

  it('counts what was lost when no answer comes any more', () => {
    const tally = tallyOf(outputOf(answers(1, 150), 1150))
    expect(tally).to.deep.equal({ sent: 1150, lost: 990, silentMs: 10_000 })
    expect(faultsOf(tally)).to.have.length(1)
  })

  it('counts all when there was no answer at all', () => {
    const tally = tallyOf(outputOf([], 500))
    expect(tally).to.deep.equal({ sent: 500, lost: 490, silentMs: 5000 })
  })

  it('counts none of those that may have been on their way', () => {
    expect(tallyOf(outputOf(answers(1, 150), 160))).to.include({ sent: 160, lost: 0 })
    expect(tallyOf(outputOf(answers(1, 150), 161))).to.include({ sent: 161, lost: 1 })
  })

  it('takes an answer that comes twice or late for one', () => {
    const lines = [answer(0, 2), answer(1, 1), answer(2, 2, ' (DUP!)'), answer(3, 3)]
    expect(tallyOf(outputOf(lines, 3))).to.include({ sent: 3, lost: 0 })
  })

  it('counts the first requests too', () => {
    expect(tallyOf(outputOf([answer(0, 5)], 5))).to.include({ sent: 5, lost: 4, silentMs: 40 })
  })

  it('counts those alone that come after a certain one', () => {
    const lines = [...answers(30, 50), ...answers(53, 150)]
    expect(tallyOf(outputOf(lines, 150), 40)).to.deep.equal({ sent: 110, lost: 2, silentMs: 30 })
    expect(tallyOf(outputOf(lines, 150), 52)).to.deep.equal({ sent: 98, lost: 0, silentMs: 10 })
    expect(tallyOf(outputOf(lines, 250), 150)).to.include({ sent: 100, lost: 90 })
  })

  it('is without fault when nothing was lost', () => {
    expect(faultsOf(quiet)).to.deep.equal([])
    expect(faultsOf({ ...quiet, lost: 1 })).to.deep.equal(['1 of 150 packets lost'])
    expect(faultsOf({ sent: 0, lost: 0, silentMs: 0 })).to.deep.equal(['nothing was sent'])
  })
})
