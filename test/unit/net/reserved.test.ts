import { expect } from 'chai'
import { parseCidr } from '../../../src/net/cidr.ts'
import { parseIp } from '../../../src/net/ip.ts'
import { whyReserved, whyReservedIp } from '../../../src/net/reserved.ts'

describe('net/reserved', () => {
  it('knows where no container can be', () => {
    for (const text of [
      '0.0.0.0/0',
      '127.0.1.0/24',
      '64.0.0.0/2',
      '239.0.0.0/8',
      '::/0',
      'fe80::/64',
    ])
      expect(whyReserved(parseCidr(text)!), text).to.match(/^\S+\/\d+ (is|stands) /)
    for (const text of [
      '10.0.0.0/8',
      '169.254.0.0/16',
      '223.255.255.0/24',
      'fd00::/8',
      '2001:db8::/32',
    ])
      expect(whyReserved(parseCidr(text)!), text).to.equal(null)
    expect(whyReservedIp(parseIp('255.255.255.255')!)).to.equal('240.0.0.0/4 is reserved')
    expect(whyReservedIp(parseIp('::1')!)).to.equal('::/127 is for loopback')
    expect(whyReservedIp(parseIp('192.0.2.1')!)).to.equal(null)
  })
})
