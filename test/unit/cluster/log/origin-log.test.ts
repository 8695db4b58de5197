import { expect } from 'chai'
import { AssertionError } from '../../../../src/base/errors.ts'
import { type Delta, type Entry, OriginLog } from '../../../../src/cluster/log/origin-log.ts'
import { sorted } from '../sorted.ts'

const oid = 'origin-1'
const epoch = 7

function entry(id: string, version: number, value: string | null = `${id}@${version}`): Entry {
  return { id, version, value }
}

function delta(from: number, to: number, entries: Entry[], more: Partial<Delta> = {}): Delta {
  const bare = { oid, epoch, floor: 0, head: to, reset: null, repair: false }
  return { ...bare, ranges: [{ from, to, entries }], ...more }
}

function liveOf(log: OriginLog): Record<string, string> {
  return Object.fromEntries(sorted(log))
}

describe('cluster/origin-log', () => {
  it('gives its owner versions one after another, deletions too', () => {
    const log = new OriginLog(oid, epoch)
    log.write('a', 'x', 0)
    log.write('b', 'y', 0)
    log.write('a', null, 0)
    expect(log.head).to.equal(3)
    expect(liveOf(log)).to.deep.equal({ b: 'y' })
    expect([log.size, log.tombstones, log.complete]).to.deep.equal([1, 1, true])
    expect(log.between(0, 3).map(({ id, version }) => [id, version])).to.deep.equal([
      ['b', 2],
      ['a', 3],
    ])
  })

  it('does not let a replica write', () => {
    const log = new OriginLog(oid, epoch)
    log.apply(delta(4, 5, [entry('a', 5)]), 0)
    expect(() => log.write('a', 'x', 0)).to.throw(AssertionError)
    expect(() => log.apply({ ...delta(0, 1, []), epoch: 8 }, 0)).to.throw(AssertionError)
  })

  it('applies what comes out of order at once, and knows what is missing', () => {
    const log = new OriginLog(oid, epoch)
    const { changes, entries } = log.apply(delta(2, 3, [entry('c', 3)]), 0)
    expect(changes).to.deep.equal([{ id: 'c', previous: null }])
    expect(entries.map(({ version }) => version)).to.deep.equal([3])
    expect(liveOf(log)).to.deep.equal({ c: 'c@3' })
    expect([log.coverage.prefix, log.complete]).to.deep.equal([0, false])
    log.apply(delta(0, 2, [entry('a', 1), entry('b', 2)]), 0)
    expect([log.coverage.prefix, log.complete]).to.deep.equal([3, true])
  })

  it('ignores a record at or below the prefix: it can only be an old one', () => {
    const log = new OriginLog(oid, epoch)
    log.apply(delta(0, 2, [entry('a', 2, null)]), 0)
    const { changes, entries } = log.apply(delta(0, 1, [entry('a', 1)]), 0)
    expect([changes, entries]).to.deep.equal([[], []])
    expect(liveOf(log)).to.deep.equal({})
  })

  it('ignores it also after the tombstone was dropped', () => {
    const log = new OriginLog(oid, epoch)
    log.apply(delta(0, 2, [entry('a', 2, null)]), 0)
    log.dropTombstones(1, 0)
    expect([log.tombstones, log.floor]).to.deep.equal([0, 2])
    expect(log.apply(delta(0, 1, [entry('a', 1)]), 0).entries).to.deep.equal([])
  })

  it('remembers a deletion that comes before the record', () => {
    const log = new OriginLog(oid, epoch)
    log.apply(delta(4, 5, [entry('a', 5, null)]), 0)
    log.apply(delta(2, 3, [entry('a', 3)]), 0)
    expect(liveOf(log)).to.deep.equal({})
    expect(log.coverage).to.deep.equal({
      prefix: 0,
      above: [
        { from: 2, to: 3 },
        { from: 4, to: 5 },
      ],
    })
  })

  it('takes no coverage at or below the floor of a sender that may lack deletions', () => {
    const log = new OriginLog(oid, epoch)
    log.apply(delta(0, 1, [entry('a', 1)]), 0)
    log.apply(delta(1, 5, [entry('b', 3), entry('c', 5)], { floor: 4 }), 0)
    expect(liveOf(log)).to.deep.equal({ a: 'a@1', b: 'b@3', c: 'c@5' })
    expect(log.coverage).to.deep.equal({ prefix: 1, above: [{ from: 4, to: 5 }] })
  })

  it('takes a reset for all that is left in its ranges, and leaves the rest alone', () => {
    const log = new OriginLog(oid, epoch)
    log.apply(delta(0, 1, [entry('gone', 1)]), 0)
    log.apply(delta(1, 2, [entry('kept', 2)]), 0)
    log.apply(delta(8, 9, [entry('later', 9)]), 0)
    const reset = delta(0, 6, [entry('kept', 2), entry('new', 6)], { reset: 6, floor: 4 })
    const { changes } = log.apply(reset, 0)
    expect(changes).to.deep.equal([
      { id: 'new', previous: null },
      { id: 'gone', previous: 'gone@1' },
    ])
    expect(liveOf(log)).to.deep.equal({ kept: 'kept@2', later: 'later@9', new: 'new@6' })
    expect([log.coverage.prefix, log.floor]).to.deep.equal([6, 4])
  })

  it('takes coverage from the pieces of a reset only together with all pieces below', () => {
    const log = new OriginLog(oid, epoch)
    log.apply(delta(0, 2, [entry('a', 1), entry('b', 2)]), 0)
    const upper = delta(2, 4, [entry('c', 3)], { reset: 4, floor: 4 })
    const lower = delta(0, 2, [entry('b', 2)], { reset: 4, floor: 4 })
    log.apply(upper, 0)
    expect([log.coverage.prefix, liveOf(log)]).to.deep.equal([2, { a: 'a@1', b: 'b@2', c: 'c@3' }])
    log.apply(lower, 0)
    expect([log.coverage.prefix, liveOf(log)]).to.deep.equal([4, { b: 'b@2', c: 'c@3' }])
  })

  it('does not take back what a piece of a reset has cleared', () => {
    const log = new OriginLog(oid, epoch)
    log.apply(delta(3, 6, [entry('d', 5)], { reset: 6, floor: 4 }), 0)
    log.apply(delta(3, 4, [entry('x', 4)]), 0)
    expect(liveOf(log)).to.deep.equal({ d: 'd@5' })
    expect(log.coverage.prefix).to.equal(0)
  })

  it('does not take it back either when another reset begins', () => {
    const log = new OriginLog(oid, epoch)
    log.apply(delta(3, 6, [entry('d', 5)], { reset: 6, floor: 4 }), 0)
    log.apply(delta(6, 8, [], { reset: 8, floor: 7 }), 0)
    log.apply(delta(3, 4, [entry('x', 4)]), 0)
    expect(liveOf(log)).to.deep.equal({ d: 'd@5' })
  })

  it('begins a reset anew when pieces come as of a later version', () => {
    const log = new OriginLog(oid, epoch)
    log.apply(delta(2, 4, [entry('c', 3)], { reset: 4, floor: 1 }), 0)
    log.apply(delta(0, 3, [entry('c', 3)], { reset: 6, floor: 5 }), 0)
    expect(log.coverage.prefix).to.equal(3)
    log.apply(delta(3, 6, [], { reset: 6, floor: 5 }), 0)
    expect([log.coverage.prefix, liveOf(log)]).to.deep.equal([6, { c: 'c@3' }])
  })

  it('drops tombstones by age and by number, oldest first, only in the prefix', () => {
    const log = new OriginLog(oid, epoch)
    for (let v = 1; v <= 4; v++) log.apply(delta(v - 1, v, [entry(`k${v}`, v, null)]), v * 10)
    log.apply(delta(5, 6, [entry('k6', 6, null)]), 0)
    log.dropTombstones(25, 100)
    expect([log.tombstones, log.floor]).to.deep.equal([3, 2])
    log.dropTombstones(0, 2)
    expect([log.tombstones, log.floor]).to.deep.equal([2, 3])
    log.dropTombstones(1000, 0)
    expect([log.tombstones, log.floor, log.entry('k6')?.version]).to.deep.equal([1, 4, 6])
  })

  it('vouches with one entry for the versions before it that nothing has any more', () => {
    const log = new OriginLog(oid, epoch)
    log.write('a', '1', 0)
    log.write('b', '2', 0)
    log.write('b', '3', 0)
    log.write('b', '4', 0)
    expect(log.rangeStart(4)).to.equal(1)
    expect(log.rangeStart(1)).to.equal(0)
    const replica = new OriginLog(oid, epoch)
    replica.apply(delta(3, 4, [entry('b', 4)]), 0)
    expect(replica.rangeStart(4)).to.equal(3)
  })

  it('is complete only when it was heard of, if only to be empty', () => {
    const log = new OriginLog(oid, epoch)
    expect(log.complete).to.equal(false)
    log.hearOf(0)
    expect(log.complete).to.equal(true)
    log.hearOf(3)
    expect(log.complete).to.equal(false)
  })

  it('does not grow with what it replaces', () => {
    const log = new OriginLog(oid, epoch)
    for (let i = 0; i < 10_000; i++) log.write(`k${i % 10}`, String(i), 0)
    expect(log.between(0, log.head)).to.have.length(10)
    expect(log.size).to.equal(10)
  })
})
