import { expect } from 'chai'
import { RaftLog } from '../../../../src/consensus/core/log.ts'
import { type Entry, limits } from '../../../../src/consensus/core/types.ts'

const one = { voters: ['a'], learners: [] as string[] }
const two = { voters: ['a', 'b'], learners: [] as string[] }
const data = new Uint8Array()

const place = (index: number) => ({ index, term: 1, timeMs: 10 * index })
const change: Entry = { ...place(3), kind: 'configuration', configuration: two }
const raised: Entry = { ...place(4), kind: 'version', version: 2 }

function logOf(entries: readonly Entry[]): RaftLog {
  const snapshot = { ...place(1), configuration: one, version: 1, data }
  return new RaftLog(snapshot, entries)
}

describe('the log', () => {
  it('takes a snapshot with the configuration and version of its index, not of its end', () => {
    const log = logOf([{ ...place(2), kind: 'empty' }, change, raised])
    const before = log.compact(2, Uint8Array.of(1))
    expect(before).to.deep.include({ index: 2, timeMs: 20, configuration: one, version: 1 })
    expect(log.inForce()).to.deep.equal({ configuration: two, version: 2, since: 3 })
    expect(log.compact(4, data)).to.deep.include({ configuration: two, version: 2 })
    expect(log.inForce()).to.deep.include({ configuration: two, version: 2 })
  })

  it('keeps some entries after a snapshot, bounded by their bytes', () => {
    const big = (index: number): Entry => ({
      ...place(index),
      kind: 'command',
      data: new Uint8Array(30_000),
    })
    const log = logOf([2, 3, 4, 5, 6].map(big))
    log.compact(6, data)
    expect(log.lastIndex).to.equal(6)
    expect(log.baseIndex).to.equal(4)
    expect(log.bytes).to.be.at.most(limits.maxAppendBytes)
    expect(log.length).to.equal(0)
  })

  it('knows the bytes of the entries that the snapshot lacks, without counting them', () => {
    const log = logOf([{ ...place(2), kind: 'empty' }, change, raised])
    const isRight = (): void => {
      expect(log.bytesSinceSnapshot).to.equal(log.bytesAfter(log.snapshot.index))
    }
    isRight()
    log.compact(3, data)
    isRight()
    log.add(1, 50, { kind: 'command', data: new Uint8Array(30_000) })
    log.add(1, 60, { kind: 'command', data: new Uint8Array(30_000) })
    log.add(1, 70, { kind: 'command', data: new Uint8Array(30_000) })
    isRight()
    log.put([{ index: 6, term: 2, timeMs: 60, kind: 'empty' }])
    isRight()
    log.compact(6, data)
    isRight()
    log.reset({ ...log.snapshot, index: 9 })
    isRight()
  })

  it('never lets time go back', () => {
    const log = logOf([])
    expect(log.add(2, 100, { kind: 'empty' }).timeMs).to.equal(100)
    expect(log.add(2, 50, { kind: 'empty' }).timeMs).to.equal(100)
  })
})
