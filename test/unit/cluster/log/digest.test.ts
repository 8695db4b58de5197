import { expect } from 'chai'
import fc from 'fast-check'
import { CodecError } from '../../../../src/base/bytes.ts'
import { Digest, bucketOf, hashOf, oidOfName } from '../../../../src/cluster/log/digest.ts'
import { decodeRoot, encodeRoot } from '../../../../src/cluster/wire/piggyback.ts'
import { epoch, oid } from '../arbitraries.ts'

describe('cluster/digest', () => {
  it('is the same whatever the order in which origins came and went', () => {
    const origin = fc.record({ oid, epoch, prefix: fc.nat() })
    fc.assert(
      fc.property(fc.array(origin), fc.array(origin), (stay, go) => {
        const one = new Digest()
        const other = new Digest()
        for (const each of [...stay, ...go])
          one.toggle(each.oid, hashOf(each.oid, each.epoch, each.prefix))
        for (const each of [...go].reverse())
          one.toggle(each.oid, hashOf(each.oid, each.epoch, each.prefix))
        for (const each of [...stay].reverse())
          other.toggle(each.oid, hashOf(each.oid, each.epoch, each.prefix))
        expect(one.bytes()).to.deep.equal(other.bytes())
        expect(one.differing(other.bytes())).to.deep.equal([])
      }),
    )
  })

  it('differs in the bucket of an origin that differs in anything', () => {
    fc.assert(
      fc.property(oid, epoch, fc.nat({ max: 2 ** 40 }), (name, time, prefix) => {
        const bare = hashOf(name, time, prefix)
        for (const other of [hashOf(name, time, prefix + 1), hashOf(name, time + 1, prefix)]) {
          expect(other).to.not.deep.equal(bare)
          const one = new Digest()
          const two = new Digest()
          one.toggle(name, bare)
          two.toggle(name, other)
          expect(one.differing(two.bytes())).to.deep.equal([bucketOf(name)])
          expect(one.root()).to.not.deep.equal(two.root())
        }
      }),
    )
  })

  it('has no collisions among 200,000 states of one origin', () => {
    const seen = new Set<number>()
    const name = oidOfName('host-1')
    for (let prefix = 0; prefix < 200_000; prefix++) {
      const { high, low } = hashOf(name, 1_790_000_000_000, prefix)
      seen.add(high * 2 ** 21 + (low >>> 11))
    }
    expect(seen.size).to.equal(200_000)
  })

  it('refuses a digest that was cut short', () => {
    expect(() => new Digest().differing(new Uint8Array(511))).to.throw(CodecError)
  })

  it('carries the root in an ack, and ignores payloads of others', () => {
    const root = { high: 0xdeadbeef, low: 1 }
    expect(decodeRoot(encodeRoot(root))).to.deep.equal(root)
    expect(decodeRoot(Uint8Array.of(1, 2, 3))).to.equal(null)
    expect(decodeRoot(new Uint8Array(10))).to.equal(null)
    expect(decodeRoot(Uint8Array.of(...encodeRoot(root), 7))).to.deep.equal(root)
  })
})
