import { expect } from 'chai'
import { Findings } from '../../../src/base/findings.ts'
import { createLogger } from '../../../src/base/logger.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const hour = 3_600_000

function registry() {
  const clock = new VirtualClock()
  const lines: string[] = []
  const findings = new Findings(clock, createLogger((line) => lines.push(line)).logger)
  return { clock, lines, findings, room: findings.room('driver') }
}

function finding(key: string, text = `MTU ${key}`) {
  return {
    code: 'CLAIM_IGNORED' as const,
    subject: 'overlay net',
    key,
    text,
    remedy: 'create it again',
  }
}

describe('base/findings', () => {
  it('logs a finding once when it starts and once when it is over, and lists it in between', async () => {
    const { clock, lines, findings, room } = registry()
    room.raise(finding('a'))
    await clock.advance(1000)
    room.raise(finding('a', 'MTU a, worse'))
    expect(findings.status()).to.deep.equal({
      list: [
        {
          room: 'driver',
          code: 'CLAIM_IGNORED',
          subject: 'overlay net',
          text: 'MTU a, worse',
          remedy: 'create it again',
          since: '2026-01-01T00:00:00.000Z',
          lastAt: '2026-01-01T00:00:01.000Z',
          times: 2,
        },
      ],
      unlisted: 0,
    })
    room.clear(finding('a'))
    room.clear(finding('a'))
    expect(lines).to.deep.equal([
      'warn driver: MTU a; create it again [CLAIM_IGNORED]',
      'info driver: over after 1 s: MTU a, worse [CLAIM_IGNORED]',
    ])
    expect(findings.status().list).to.deep.equal([])
  })

  it('ends what has not been raised for as long as it was said to last', async () => {
    const { clock, lines, findings, room } = registry()
    room.raise(finding('a'), hour)
    await clock.advance(hour / 2)
    room.raise(finding('b'), hour)
    room.raise(finding('a'), hour)
    room.raise(finding('forever'))
    await clock.advance(hour - 1)
    expect(findings.status().list).to.have.length(3)
    await clock.advance(1)
    expect(findings.status().list).to.have.length(1)
    expect(lines.slice(3)).to.deep.equal([
      'info driver: over after 1 h: MTU a [CLAIM_IGNORED]',
      'info driver: over after 1 h: MTU b [CLAIM_IGNORED]',
    ])
  })

  it('replaces a group and leaves the others alone', () => {
    const { lines, findings, room } = registry()
    room.raise(finding('single'))
    room.replace('macs', [finding('mac')])
    room.replace('overlays', [finding('a'), finding('b')])
    room.replace('overlays', [finding('b'), finding('c')])
    expect(findings.status().list.map(({ text }) => text)).to.deep.equal([
      'MTU single',
      'MTU mac',
      'MTU b',
      'MTU c',
    ])
    expect(lines.filter((line) => line.includes('over after'))).to.deep.equal([
      'info driver: over after 0 s: MTU a [CLAIM_IGNORED]',
    ])
  })

  it('keeps two hundred of a room, counts the others, and logs five of one report', () => {
    const { lines, findings, room } = registry()
    const many = Array.from({ length: 1000 }, (_, i) => finding(`${i}`))
    room.replace('overlays', many)
    room.replace('overlays', many)
    expect(findings.status().list).to.have.length(200)
    expect(findings.status().unlisted).to.equal(800)
    expect(lines).to.have.length(6)
    expect(lines.at(-1)).to.equal('warn driver: 195 more findings of this kind; /status lists them')
    room.raise(finding('one more'))
    expect(findings.status().unlisted).to.equal(801)
    room.replace('overlays', [])
    expect(findings.status()).to.deep.equal({ list: [], unlisted: 1 })
  })

  it('lists the findings of all rooms, the oldest first', async () => {
    const { clock, findings, room } = registry()
    findings.room('ipam').raise(finding('first'))
    await clock.advance(1)
    room.raise(finding('second'))
    findings.room('ipam').raise(finding('third'))
    expect(findings.status().list.map((found) => [found.room, found.text])).to.deep.equal([
      ['ipam', 'MTU first'],
      ['driver', 'MTU second'],
      ['ipam', 'MTU third'],
    ])
  })
})
