import { expect } from 'chai'
import { groupRecord, replay, snapshotRecord } from '../../../src/store/journal.ts'
import type { Tables } from '../../../src/store/tables.ts'

const snapshot = snapshotRecord([{ table: 't', key: 'old', json: '"ö"' }], 41)
const groups = [
  groupRecord([{ table: 't', key: 'a', json: '1' }], 42),
  groupRecord(
    [
      { table: 't', key: 'old', json: null },
      { table: 'u', key: 'Ω\n', json: '{"x":[null,"\\u0000"]}' },
    ],
    43,
  ),
  groupRecord([{ table: 't', key: 'a', json: '2' }], 44),
]
const journal = Buffer.concat([snapshot, ...groups])

/** The rows after so many groups. */
const states = [
  't old "ö"',
  't old "ö", t a 1',
  't a 1, u Ω\n {"x":[null,"\\u0000"]}',
  't a 2, u Ω\n {"x":[null,"\\u0000"]}',
]

function textOf(tables: Tables): string {
  return tables
    .rows()
    .map(({ table, key, json }) => `${table} ${key} ${json}`)
    .join(', ')
}

/** Where each whole record ends. */
const ends = groups.reduce((sum, group) => [...sum, sum.at(-1)! + group.length], [snapshot.length])

describe('a journal', () => {
  it('is read back as it was written', () => {
    const read = replay(journal)
    expect(read).to.include({ kind: 'good', sequence: 44, goodBytes: journal.length })
    expect(read.kind === 'good' && textOf(read.tables)).to.equal(states[3])
  })

  it('cut off at any byte is the writes before, or refused when its first record is not whole', () => {
    for (let bytes = 0; bytes <= journal.length; bytes++) {
      const read = replay(journal.subarray(0, bytes))
      if (bytes < snapshot.length) {
        expect(read, `${bytes}`).to.include({ kind: 'bad' })
        continue
      }
      const whole = ends.findLastIndex((end) => end <= bytes)
      expect(read, `${bytes}`).to.include({ kind: 'good', goodBytes: ends[whole] })
      expect(read.kind === 'good' && textOf(read.tables), `${bytes}`).to.equal(states[whole])
    }
  })

  it('cut off at any byte and filled with zeros is the same', () => {
    for (let bytes = snapshot.length; bytes < journal.length; bytes++) {
      const read = replay(Buffer.concat([journal.subarray(0, bytes), Buffer.alloc(600)]))
      const whole = ends.findLastIndex((end) => end <= bytes)
      expect(read, `${bytes}`).to.include({ kind: 'good', goodBytes: ends[whole] })
    }
  })

  it('with any one byte changed, in any way, is refused', () => {
    const bytes = Buffer.from(journal)
    for (const [at, byte] of journal.entries()) {
      for (let value = 0; value < 256; value++) {
        if (value === byte) continue
        bytes[at] = value
        const read = replay(bytes)
        if (read.kind !== 'bad') expect.fail(`byte ${at} as ${value}: ${JSON.stringify(read)}`)
      }
      bytes[at] = byte
    }
  })

  it('says where it is damaged', () => {
    const bytes = Buffer.from(journal)
    bytes[ends[1]! + 30]! ^= 1
    expect(replay(bytes)).to.deep.equal({
      kind: 'bad',
      reason: `at byte ${ends[1]}: the record does not match its checksum`,
    })
  })
})
