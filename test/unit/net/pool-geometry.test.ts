import { expect } from 'chai'
import fc from 'fast-check'
import {
  addressAt,
  blockOf,
  blockRange,
  geometryOf,
  isUsable,
  offsetOf,
  rangeSize,
  subRange,
  usableCount,
} from '../../../src/net/pool-geometry.ts'
import { type Cidr, cidrOf, parseCidr } from '../../../src/net/cidr.ts'
import { ipFromInteger, parseIp } from '../../../src/net/ip.ts'

const cidr = (text: string): Cidr => parseCidr(text)!

const anyIpv4Pool = fc
  .tuple(fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }), fc.integer({ min: 12, max: 32 }))
  .map(([value, length]) => cidrOf(ipFromInteger(value, 32), length))

describe('pool geometry', () => {
  const table: [pool: string, blockSize: number, blocks: number, usable: number][] = [
    ['10.0.0.0/8', 2048, 8192, 2 ** 24 - 2],
    ['10.0.0.0/16', 128, 512, 65_534],
    ['10.0.0.0/20', 32, 128, 4094],
    ['10.0.0.0/24', 8, 32, 254],
    ['10.0.0.0/26', 4, 16, 62],
    ['10.0.0.0/27', 2, 16, 30],
    ['10.0.0.0/28', 1, 16, 14],
    ['10.0.0.0/29', 1, 8, 6],
    ['10.0.0.0/30', 1, 4, 2],
    ['10.0.0.0/31', 1, 2, 2],
    ['10.0.0.7/32', 1, 1, 1],
    ['fd00::/64', 2048, 8192, 2 ** 24 - 1],
    ['fd00::/48', 2048, 8192, 2 ** 24 - 1],
    ['fd00::/120', 8, 32, 255],
    ['fd00::/127', 1, 2, 2],
  ]
  for (const [pool, blockSize, blocks, usable] of table) {
    it(`divides ${pool} into ${blocks} blocks of ${blockSize}`, () => {
      const geometry = geometryOf(cidr(pool))
      expect(geometry.blockSize).to.equal(blockSize)
      expect(geometry.blockCount).to.equal(blocks)
      expect(usableCount(geometry)).to.equal(usable)
    })
  }

  it('keeps the network address and the broadcast address', () => {
    const geometry = geometryOf(cidr('10.1.2.0/24'))
    expect(isUsable(geometry, 0)).to.equal(false)
    expect(isUsable(geometry, 1)).to.equal(true)
    expect(isUsable(geometry, 254)).to.equal(true)
    expect(isUsable(geometry, 255)).to.equal(false)
    expect(isUsable(geometryOf(cidr('fd00::/120')), 255), 'IPv6 has no broadcast').to.equal(true)
  })

  it('has each usable address in exactly one block', () => {
    fc.assert(
      fc.property(anyIpv4Pool, (pool) => {
        const geometry = geometryOf(pool)
        let sum = 0
        let next = geometry.first
        for (let index = 0; index < geometry.blockCount; index++) {
          const range = blockRange(geometry, index)
          sum += rangeSize(range)
          if (range === null) continue
          expect(range.first).to.equal(next)
          expect(blockOf(geometry, range.first)).to.equal(index)
          expect(blockOf(geometry, range.last)).to.equal(index)
          next = range.last + 1
        }
        expect(sum).to.equal(usableCount(geometry))
      }),
      { numRuns: 60 },
    )
  })

  it('turns offsets into addresses and back', () => {
    fc.assert(
      fc.property(anyIpv4Pool, fc.nat(), (pool, n) => {
        const geometry = geometryOf(pool)
        const offset = n % geometry.span
        expect(offsetOf(geometry, addressAt(geometry, offset))).to.equal(offset)
      }),
    )
  })

  it('does not hand out what is far up in an IPv6 pool', () => {
    const geometry = geometryOf(cidr('fd00::/64'))
    expect(offsetOf(geometry, parseIp('fd00::ff:ffff')!)).to.equal(2 ** 24 - 1)
    expect(offsetOf(geometry, parseIp('fd00::100:0')!)).to.equal(null)
  })

  it('cuts a sub-pool out, without what no host may have', () => {
    const geometry = geometryOf(cidr('10.0.0.0/24'))
    expect(subRange(geometry, cidr('10.0.0.0/25'))).to.deep.equal({ first: 1, last: 127 })
    expect(subRange(geometry, cidr('10.0.0.128/25'))).to.deep.equal({ first: 128, last: 254 })
    expect(subRange(geometry, cidr('10.0.0.255/32'))).to.equal(null)
    const ipv6 = geometryOf(cidr('fd00::/64'))
    expect(subRange(ipv6, cidr('fd00::1:0:0/96'))).to.equal(null)
    expect(subRange(ipv6, cidr('fd00::/96'))).to.deep.equal({ first: 1, last: 2 ** 24 - 1 })
  })
})
