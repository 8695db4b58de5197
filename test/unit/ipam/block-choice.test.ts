import { expect } from 'chai'
import { blockOrder } from '../../../src/ipam/blocks/block-choice.ts'
import { blocksToClaim, blocksToKeep, firstShare } from '../../../src/ipam/blocks/stock.ts'
import { geometryOf, subRange } from '../../../src/net/pool-geometry.ts'
import { parseCidr } from '../../../src/net/cidr.ts'

const geometry = geometryOf(parseCidr('10.0.0.0/16')!)
const small = geometryOf(parseCidr('10.0.0.0/24')!)

describe('the choice of blocks', () => {
  it('has every block once, in an order that is the member’s own and stays', () => {
    const order = blockOrder(geometry, 'host-1')
    expect([...order].sort((a, b) => a - b)).to.deep.equal([...Array(512).keys()])
    expect(blockOrder(geometry, 'host-1')).to.deep.equal(order)
    expect(blockOrder(geometry, 'host-2')).to.not.deep.equal(order)
  })

  it('spreads members: of 100 that take four of 512 blocks each, few meet', () => {
    const seen = new Map<number, number>()
    for (let i = 0; i < 100; i++) {
      for (const index of blockOrder(geometry, `host-${i}`).slice(0, 4)) {
        seen.set(index, (seen.get(index) ?? 0) + 1)
      }
    }
    // 400 throws into 512 boxes hit about 512 * (1 - e^(-400/512)) = 278 of them.
    expect(seen.size).to.be.within(250, 310)
  })

  it('keeps to the sub-pool and leaves out blocks without a usable address', () => {
    const within = subRange(geometry, parseCidr('10.0.4.0/22')!)!
    const order = blockOrder(geometry, 'host-1', within)
    expect(order.sort((a, b) => a - b)).to.deep.equal([8, 9, 10, 11, 12, 13, 14, 15])
    const tiny = geometryOf(parseCidr('10.0.0.0/29')!)
    expect(blockOrder(tiny, 'host-1').sort((a, b) => a - b)).to.deep.equal([1, 2, 3, 4, 5, 6])
  })
})

describe('the stock of blocks', () => {
  it('takes at first use a share that leaves half of the pool to others', () => {
    expect([1, 2, 3, 5, 25, 200].map((members) => firstShare(small, members))).to.deep.equal([
      8, 8, 5, 3, 1, 1,
    ])
    expect(firstShare(geometry, 2), 'no more than 256 addresses').to.equal(2)
  })

  const table: [what: string, blocks: number, fresh: number, waiting: number, claim: number][] = [
    ['first use', 0, 0, 1, 5],
    ['enough', 5, 10, 0, 0],
    ['just enough', 5, 4, 0, 0],
    ['low', 5, 3, 0, 1],
    ['many wait', 5, 0, 100, 13],
    ['much is held already', 16, 3, 0, 4],
  ]
  for (const [what, blocks, fresh, waiting, claim] of table) {
    it(`claims ${claim} blocks of a /24 for three members: ${what}`, () => {
      expect(blocksToClaim(small, { blocks, fresh, waiting }, 3)).to.equal(claim)
    })
  }

  it('keeps the first share, or what is used and some', () => {
    expect(blocksToKeep(small, 0, 3)).to.equal(5)
    expect(blocksToKeep(small, 100, 3)).to.equal(14)
  })
})
