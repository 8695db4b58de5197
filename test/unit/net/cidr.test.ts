import { expect } from 'chai'
import fc from 'fast-check'
import {
  type Cidr,
  cidrBase,
  cidrContains,
  cidrIncludes,
  cidrOf,
  cidrSize,
  cidrsOverlap,
  ipAt,
  offsetIn,
  parseCidr,
  parseIpInCidr,
} from '../../../src/net/cidr.ts'
import { type Ip, ipFromInteger } from '../../../src/net/ip.ts'

const anyCidr: fc.Arbitrary<Cidr> = fc.oneof(
  fc
    .tuple(fc.bigInt(0n, (1n << 32n) - 1n), fc.integer({ min: 0, max: 32 }))
    .map(([value, length]) => cidrOf(ipFromInteger(value, 32), length)),
  fc
    .tuple(fc.bigInt(0n, (1n << 128n) - 1n), fc.integer({ min: 0, max: 128 }))
    .map(([value, length]) => cidrOf(ipFromInteger(value, 128), length)),
)

describe('net/cidr', () => {
  it('refuses what the arithmetic library would guess at', () => {
    for (const text of [
      '010.0.0.1/24',
      '10.0.0.0/24x',
      '10.1/16',
      '10.0.0.0/33',
      '10.0.0.0/024',
      '10.0.0.0',
      'fe80::1%eth0/64',
      'fd00::/129',
      ' 10.0.0.0/8',
    ])
      expect(parseIpInCidr(text), text).to.equal(null)
  })

  it('masks host bits, and a plain prefix must have none', () => {
    expect(parseIpInCidr('10.99.0.7/24')).to.deep.equal({ ip: '10.99.0.7', cidr: '10.99.0.0/24' })
    expect(parseCidr('10.99.0.7/24')).to.equal(null)
    expect(parseIpInCidr('fd00::1:2/64')).to.deep.equal({ ip: 'fd00::1:2', cidr: 'fd00::/64' })
    expect(parseIpInCidr('0.0.0.0/0')).to.deep.equal({ ip: '0.0.0.0', cidr: '0.0.0.0/0' })
    expect(parseIpInCidr('10.0.0.1/32')).to.deep.equal({ ip: '10.0.0.1', cidr: '10.0.0.1/32' })
  })

  it('contains exactly the addresses at its offsets', () => {
    fc.assert(
      fc.property(anyCidr, fc.bigInt(0n, (1n << 128n) - 1n), (cidr, seed) => {
        const offset = seed % cidrSize(cidr)
        const ip = ipAt(cidr, offset)
        expect(cidrContains(cidr, ip)).to.equal(true)
        expect(offsetIn(cidr, ip)).to.equal(offset)
        expect(parseIpInCidr(`${ip}/${cidr.split('/')[1]}`)?.cidr).to.equal(cidr)
      }),
    )
  })

  it('finds an overlap exactly where one includes the other', () => {
    fc.assert(
      fc.property(anyCidr, anyCidr, (a, b) => {
        const overlap = cidrIncludes(a, b) || cidrIncludes(b, a)
        expect(cidrsOverlap(a, b)).to.equal(overlap)
        expect(cidrsOverlap(b, a)).to.equal(overlap)
      }),
    )
    expect(cidrsOverlap('10.0.0.0/8' as Cidr, '10.9.0.0/16' as Cidr)).to.equal(true)
    expect(cidrsOverlap('10.0.0.0/9' as Cidr, '10.128.0.0/9' as Cidr)).to.equal(false)
    expect(cidrContains('10.0.0.0/24' as Cidr, '10.0.1.0' as Ip)).to.equal(false)
    expect(cidrBase('10.0.0.0/24' as Cidr)).to.equal('10.0.0.0')
  })
})
