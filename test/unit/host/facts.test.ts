import { expect } from 'chai'
import { backlogDropsIn, neighboursIn, readHostFacts, udpIn } from '../../../src/host/facts.ts'

describe('what a host’s kernel tells', () => {
  it('has the number of neighbours once, and how often the table was full on all processors', () => {
    const table =
      'entries  allocs table_fulls\n0000001f  00000001 00000002\n0000001f  00000000 0000000a\n'
    expect(neighboursIn(table)).to.deep.equal({ entries: 31, fulls: 12 })
    expect(neighboursIn('entries allocs\n00000001 00000002\n')).to.deep.equal({
      entries: 1,
      fulls: 0,
    })
    expect(neighboursIn(null)).to.equal(null)
    expect(neighboursIn('something else\n')).to.equal(null)
  })

  it('has the drops of all processors', () => {
    expect(backlogDropsIn('0000aaaa 00000002 00000000\n0000bbbb 00000010 00000000\n')).to.equal(18)
    expect(backlogDropsIn(null)).to.equal(null)
  })

  it('has the datagrams that were dropped, by title', () => {
    const text =
      'Tcp: A B\nTcp: 1 2\nUdp: InErrors RcvbufErrors InCsumErrors\nUdp: 5 3 2\nUdpLite: X\n'
    expect(udpIn(text)).to.deep.equal({ bufferDrops: 3, checksumErrors: 2 })
    expect(udpIn('')).to.equal(null)
  })

  it('is read from this host, as far as it tells', async () => {
    const facts = await readHostFacts('127.0.0.1')
    expect(facts.kernel).to.match(/^\d+\.\d+/)
    expect(facts.driver).to.equal(null)
    expect(Object.keys(facts.sysctls)).to.include('net.core.netdev_max_backlog')
  })
})
