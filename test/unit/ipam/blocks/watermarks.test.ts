import { expect } from 'chai'
import { blocksToClaim, blocksToKeep, firstShare } from '../../../../src/ipam/blocks/watermarks.ts'
import { geometryOf } from '../../../../src/net/pool-geometry.ts'
import { parseCidr } from '../../../../src/net/cidr.ts'

const geometry = geometryOf(parseCidr('10.0.0.0/16')!)
const small = geometryOf(parseCidr('10.0.0.0/24')!)

describe('the watermarks of blocks', () => {
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
