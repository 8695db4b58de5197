import { expect } from 'chai'
import fc from 'fast-check'
import { type Lease, LeaseTable, quarantineMs } from '../../../../src/ipam/leases/lease-table.ts'

const lease = (since: number): Lease => ({ since, kind: 'container', loan: null })
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

  it('keeps a freed address in quarantine while there are others', () => {
    const table = new LeaseTable()
    table.take(8, lease(0))
    table.drop(8, 100)
    expect(table.next([{ first: 8, last: 9 }], free, 100)).to.equal(9)
    table.take(9, lease(1))
    expect(table.next([{ first: 8, last: 9 }], free, 200), 'there is no other').to.equal(8)
  })

  it('takes the one that is in quarantine longest', () => {
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
    expect(table.quarantined(4)).to.equal(3)
    expect(table.quarantined(2 + quarantineMs)).to.equal(1)
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
            table.drop(offset, now)
            expect(table.get(offset)).to.equal(undefined)
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

  it('gives a container that is restarted its address back, where names are known', () => {
    const table = new LeaseTable()
    table.take(8, { ...lease(0), name: 'web' })
    table.take(9, { ...lease(1), name: 'db' })
    for (const offset of [8, 9]) table.drop(offset, 100)
    expect(table.recall('web', ranges, free, 3_600_000)).to.equal(8)
    expect(table.recall('other', ranges, free, 100)).to.equal(null)
    table.take(8, { ...lease(2), name: 'other' })
    expect(table.recall('web', ranges, free, 200), 'somebody else has it').to.equal(null)
    expect(
      table.recall('db', ranges, (offset) => offset === 9, 200),
      'blocked',
    ).to.equal(null)
    expect(table.recall('db', [{ first: 24, last: 27 }], free, 200), 'not ours').to.equal(null)
  })

  it('gives back the only address that was released a moment ago, where names are not known', () => {
    const table = new LeaseTable()
    for (const offset of [8, 9]) table.take(offset, lease(offset))
    table.drop(8, 0)
    expect(table.recall(null, ranges, free, 9_999)).to.equal(8)
    expect(table.recall(null, ranges, free, 10_000), 'too late').to.equal(null)
    table.drop(9, 5_000)
    expect(table.recall(null, ranges, free, 9_000), 'two are in question').to.equal(null)
    expect(table.recall(null, ranges, free, 12_000)).to.equal(9)
  })
})
