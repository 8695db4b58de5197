import { expect } from 'chai'
import fc from 'fast-check'
import {
  ipBits,
  ipFromBytes,
  ipFromInteger,
  ipToBytes,
  ipToInteger,
  parseIp,
} from '../../../src/net/ip.ts'

const anyIp = fc.oneof(
  fc.bigInt(0n, (1n << 32n) - 1n).map((value) => ipFromInteger(value, 32)),
  fc.bigInt(0n, (1n << 128n) - 1n).map((value) => ipFromInteger(value, 128)),
)

describe('net/ip', () => {
  it('writes IPv6 as RFC 5952 section 4 says', () => {
    const canonical = (text: string): string | null => parseIp(text)
    expect(canonical('2001:DB8:0:0:1:0:0:1')).to.equal('2001:db8::1:0:0:1')
    expect(canonical('2001:db8:0:1:1:1:1:1')).to.equal('2001:db8:0:1:1:1:1:1')
    expect(canonical('::ffff:192.0.2.1')).to.equal('::ffff:c000:201')
    expect(canonical('0:0:0:0:0:0:0:0')).to.equal('::')
    expect(canonical('fe80:0:0:0:0:0:0:1')).to.equal('fe80::1')
  })

  it('refuses what other readers guess at', () => {
    for (const text of [
      '010.0.0.1',
      '10.1',
      '10.0.0.256',
      '10.0.0.1 ',
      'fe80::1%eth0',
      '1::2::3',
      '',
    ])
      expect(parseIp(text), text).to.equal(null)
  })

  it('goes through text, bytes and integer and back', () => {
    fc.assert(
      fc.property(anyIp, (ip) => {
        expect(parseIp(ip)).to.equal(ip)
        expect(ipFromBytes(ipToBytes(ip))).to.equal(ip)
        expect(ipFromInteger(ipToInteger(ip), ipBits(ip))).to.equal(ip)
      }),
    )
  })
})
