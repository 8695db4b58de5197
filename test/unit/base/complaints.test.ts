import { expect } from 'chai'
import { Complaints } from '../../../src/base/complaints.ts'
import { createLogger } from '../../../src/base/logger.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

describe('base/complaints', () => {
  it('counts all, and logs a pair once and then once an hour', async () => {
    const clock = new VirtualClock()
    const lines: string[] = []
    const complaints = new Complaints(clock, createLogger((line) => lines.push(line)).logger)
    for (let i = 1; i <= 1000; i++) {
      complaints.note('host-b', 'mac', `case ${i}`)
      complaints.note('host-b', 'address', `case ${i}`)
      await clock.advance(1)
    }
    expect(lines).to.deep.equal(['warn main: case 1', 'warn main: case 1'])
    await clock.advance(3_600_000)
    complaints.note('host-b', 'mac', 'later')
    expect(lines.at(-1)).to.equal('warn main: later (1001 of this kind so far)')
    const { total, list } = complaints.status()
    expect(total).to.equal(2001)
    expect(list[0]).to.deep.include({ who: 'host-b', what: 'mac', count: 1001 })
    expect(list[0]!.last.text).to.equal('later')
  })

  it('keeps no more than two hundred pairs, whatever comes', () => {
    const lines: string[] = []
    const complaints = new Complaints(
      new VirtualClock(),
      createLogger((line) => lines.push(line)).logger,
    )
    for (let i = 0; i < 10_000; i++) complaints.note(`host-${i}`, 'mac', 'bad')
    expect(complaints.status().total).to.equal(10_000)
    expect(complaints.status().list).to.have.length(200)
    expect(lines).to.have.length(200)
  })
})
