import { expect } from 'chai'
import fc from 'fast-check'
import { type Lease, LeaseTable, quarantineMs } from '../../../src/ipam/addresses/lease-table.ts'

const lease = (since: number): Lease => ({ since, kind: 'container', loan: false })
const free = (): boolean => false
const ranges = [
  { first: 8, last: 11 },
  { first: 24, last: 27 },
]

describe('lease table', () => {
  it('goes on behind the last one, into the next range, and round', () => {
    const table = new LeaseTable()
    const taken: (number | null)[] = []
    for (let since = 0; since < 8; since++) {
      const offset = table.next(ranges, free, 0)
      taken.push(offset)
      table.take(offset!, lease(since))
    }
    expect(taken).to.deep.equal([8, 9, 10, 11, 24, 25, 26, 27])
    expect(table.next(ranges, free, 0)).to.equal(null)
    table.drop(9, 0)
    expect(table.next(ranges, free, quarantineMs)).to.equal(9)
  })

  it('lets a freed address rest while there are others', () => {
    const table = new LeaseTable()
    table.take(8, lease(0))
    table.drop(8, 100)
    expect(table.next([{ first: 8, last: 9 }], free, 100)).to.equal(9)
    table.take(9, lease(1))
    expect(table.next([{ first: 8, last: 9 }], free, 200), 'there is no other').to.equal(8)
  })

  it('takes the one that rests longest', () => {
    const table = new LeaseTable()
    for (const offset of [8, 9, 10]) table.take(offset, lease(offset))
    for (const [offset, at] of [
      [9, 1],
      [8, 2],
      [10, 3],
    ] as const) {
      table.drop(offset, at)
    }
    expect(table.next([{ first: 8, last: 10 }], free, 4)).to.equal(9)
    expect(table.resting(4)).to.equal(3)
    expect(table.resting(2 + quarantineMs)).to.equal(1)
  })

  it('goes on behind the newest after leases were read in any order', () => {
    const table = new LeaseTable()
    for (const [offset, since] of [
      [24, 5],
      [9, 7],
      [8, 6],
    ] as const) {
      table.take(offset, lease(since))
    }
    expect(table.next(ranges, free, 0)).to.equal(10)
  })

  it('never hands out what is taken, blocked or not ours, and all else before it says no', () => {
    const blocked = new Set([10, 25])
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(7)), { maxLength: 200 }), (steps) => {
        const table = new LeaseTable()
        const held = new Set<number>()
        let now = 0
        for (const [takes, n] of steps) {
          now += 1000
          if (!takes) {
            const offset = [...held][n]
            if (offset === undefined) continue
            held.delete(offset)
            expect(table.drop(offset, now)).to.equal(true)
            continue
          }
          const offset = table.next(ranges, (candidate) => blocked.has(candidate), now)
          if (offset === null) {
            expect(held.size).to.equal(6)
            continue
          }
          expect(held.has(offset) || blocked.has(offset)).to.equal(false)
          expect(ranges.some(({ first, last }) => first <= offset && offset <= last)).to.equal(true)
          held.add(offset)
          table.take(offset, lease(now))
        }
      }),
    )
  })
})
