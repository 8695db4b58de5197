import { expect } from 'chai'
import fc from 'fast-check'
import { seededRandom } from '../../../../src/base/random.ts'
import { freePools, ulaSource } from '../../../../src/consensus/state/pool-choice.ts'
import {
  type Cidr,
  cidrIncludes,
  cidrOf,
  cidrsOverlap,
  parseCidr,
} from '../../../../src/net/cidr.ts'
import { ipFromInteger } from '../../../../src/net/ip.ts'

const cidr = (text: string): Cidr => parseCidr(text)!
const source = { cidr: cidr('10.128.0.0/16'), length: 20 }

describe('the choice of a pool', () => {
  it('has each prefix of the source once, beginning anywhere', () => {
    const all = [...freePools([source], [], seededRandom(1))]
    expect(new Set(all).size).to.equal(16)
    expect(all.every((pool) => cidrIncludes(source.cidr, pool))).to.equal(true)
    const starts = new Set<string>()
    for (let seed = 0; seed < 100; seed++) {
      starts.add(freePools([source], [], seededRandom(seed)).next().value as Cidr)
    }
    expect(starts.size).to.be.greaterThan(10)
  })

  it('overlaps nothing that is taken, and leaves nothing out', () => {
    const anyCidr = fc
      .tuple(fc.bigInt({ min: 0x0a80_0000n, max: 0x0a81_0fffn }), fc.integer({ min: 8, max: 32 }))
      .map(([value, length]) => cidrOf(ipFromInteger(value, 32), length))
    fc.assert(
      fc.property(fc.array(anyCidr, { maxLength: 12 }), fc.integer(), (taken, seed) => {
        const chosen = [...freePools([source], taken, seededRandom(seed))].sort()
        const expected = [...Array(16).keys()]
          .map((n) => cidrOf(ipFromInteger(0x0a80_0000n + BigInt(n << 12), 32), 20))
          .filter((pool) => !taken.some((other) => cidrsOverlap(pool, other)))
          .sort()
        expect(chosen).to.deep.equal(expected)
      }),
    )
  })

  it('is quick with the default source when most of it is taken', () => {
    const wide = { cidr: cidr('10.128.0.0/9'), length: 24 }
    const taken = [cidr('10.128.0.0/10'), cidr('10.192.0.0/11'), cidr('10.224.0.0/12')]
    const pool = freePools([wide], taken, seededRandom(3)).next().value as Cidr
    expect(cidrIncludes(cidr('10.240.0.0/12'), pool)).to.equal(true)
  })

  it('goes through all sources', () => {
    const other = { cidr: cidr('192.168.0.0/24'), length: 26 }
    expect([...freePools([source, other], [], seededRandom(5))]).to.have.length(20)
  })

  it('takes IPv6 pools from a unique local prefix of the cluster’s own', () => {
    const ula = ulaSource('root-a')
    expect(ula.cidr).to.match(/^fd[0-9a-f]{2}:[0-9a-f]{1,4}:[0-9a-f]{1,4}::\/48$/)
    expect(ulaSource('root-a')).to.deep.equal(ula)
    expect(ulaSource('root-b').cidr).to.not.equal(ula.cidr)
    const pool = freePools([ula], [cidr('10.0.0.0/8')], seededRandom(1)).next().value as Cidr
    expect(cidrIncludes(ula.cidr, pool)).to.equal(true)
    expect(pool).to.match(/\/64$/)
  })
})
