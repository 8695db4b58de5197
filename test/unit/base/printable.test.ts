import { expect } from 'chai'
import fc from 'fast-check'
import { createLogger } from '../../../src/base/logger.ts'
import { printable, printableLines } from '../../../src/base/printable.ts'

const hostile = 'host\u001b[2J\nwarn driver: forged\u009b31m\u202e\u2028\ud800'

describe('base/printable', () => {
  it('writes out what a terminal or a log would obey, and nothing else', () => {
    expect(printable(hostile)).to.equal(
      'host\\u001b[2J\\u000awarn driver: forged\\u009b31m\\u202e\\u2028\\ud800',
    )
    for (const text of ['rack4-host7', 'überall → 10.0.0.0/8', '日本 🚢', '"\\u001b"'])
      expect(printable(text)).to.equal(text)
    expect(printableLines('a\r\nb')).to.equal('a\\u000d\nb')
  })

  it('means the same in JSON', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const json = printableLines(JSON.stringify({ text }, null, 2))
        expect(JSON.parse(json)).to.deep.equal({ text })
      }),
    )
  })
})

describe('a log line', () => {
  it('is one line, whatever names and messages are in it', () => {
    const lines: string[] = []
    const { logger, problems } = createLogger((line) => lines.push(line))
    logger.warn(`joining ${hostile}`, { member: hostile })
    logger.info(hostile)
    for (const line of [...lines, problems[0]!.message])
      // oxlint-disable-next-line no-control-regex
      expect(line).to.not.match(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/)
    expect(lines).to.have.length(2)
  })
})
