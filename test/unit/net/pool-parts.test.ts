import { expect } from 'chai'
import fc from 'fast-check'
import { type Cidr, cidrIncludes, cidrOf, cidrsOverlap, parseCidr } from '../../../src/net/cidr.ts'
import { ipFromBytes } from '../../../src/net/ip.ts'
import { lowerHalf, partPrefixes, partsOf } from '../../../src/net/pool-parts.ts'

const cidr = fc
  .tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.boolean(), fc.nat())
  .map(([bytes, ipv6, length]): Cidr => {
    const ip = ipFromBytes(ipv6 ? bytes : bytes.slice(0, 4))!
    return cidrOf(ip, length % (ipv6 ? 127 : 31))
  })

describe('the parts of a pool that engines hand out from', () => {
  it('are its lower half and equal prefixes of the upper', () => {
    const pool = parseCidr('172.19.0.0/16')!
    expect(partsOf(pool).blockCount).to.equal(256)
    const lower = Array.from({ length: 128 }, (_, part) => part)
    expect(partPrefixes(pool, lower)).to.deep.equal(['172.19.0.0/17'])
    expect(partPrefixes(pool, [128, 255])).to.deep.equal(['172.19.128.0/24', '172.19.255.0/24'])
    expect(partPrefixes(parseCidr('10.0.0.0/24')!, [8])).to.deep.equal(['10.0.0.128/28'])
    expect(partPrefixes(parseCidr('fd00::/64')!, [128])).to.deep.equal(['fd00::8000:0:0:0/72'])
    expect(lowerHalf(pool)).to.equal('172.19.0.0/17')
  })

  it('lie in the pool, and no two have an address in common, whatever the pool is', () => {
    fc.assert(
      fc.property(cidr, (pool) => {
        const { blockCount } = partsOf(pool)
        const all = partPrefixes(
          pool,
          Array.from({ length: blockCount }, (_, part) => part),
        )
        expect(all).to.have.length(blockCount / 2 + 1)
        for (const part of all) expect(cidrIncludes(pool, part)).to.equal(true)
        for (let i = 1; i < all.length; i++)
          expect(cidrsOverlap(all[i - 1]!, all[i]!), `${all[i - 1]} ${all[i]}`).to.equal(false)
      }),
    )
  })
})
