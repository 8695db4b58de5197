import { presentFormat } from './migrations.ts'
import { encodeRecord, readRecord, withoutZeroTail } from './record.ts'
import { Tables, type TextChange } from './tables.ts'

/*
 * The journal: a first record that holds every row as it was when the file was made, and the number
 * of the format that the rows have; then one record for each group of writes. A program refuses a
 * number that is greater than its own, and migrates one that is less.
 */

/** What a journal's bytes contain. */
type Replay =
  | {
      readonly kind: 'good'
      readonly tables: Tables
      /** The format that the rows have. */
      readonly format: number
      /** The number of the last group of writes. */
      readonly sequence: number
      /** How many bytes are whole records; what follows was cut short by a crash. */
      readonly goodBytes: number
      /** How many of them are the first record. */
      readonly snapshotBytes: number
    }
  | { readonly kind: 'bad'; readonly reason: string }

/** Row changes as they stand in a record: table, key, value. */
type ChangeRow = readonly [string, string, unknown]

/** The first record of a journal: all rows, after the group of writes with this number. */
export function snapshotRecord(
  rows: readonly TextChange[],
  sequence: number,
  format = presentFormat,
): Buffer {
  return encodeRecord(`{"format":${format},"sequence":${sequence},"rows":${listOf(rows)}}`)
}

/** The record of a group of writes. */
export function groupRecord(changes: readonly TextChange[], sequence: number): Buffer {
  return encodeRecord(`{"sequence":${sequence},"changes":${listOf(changes)}}`)
}

function listOf(changes: readonly TextChange[]): string {
  const rows = changes.map(
    ({ table, key, json }) => `[${JSON.stringify(table)},${JSON.stringify(key)},${json ?? 'null'}]`,
  )
  return `[${rows.join(',')}]`
}

/**
 * Reads a journal. Only its end may be torn, and then only a record that no write has resolved on:
 * a group is written after the one before it is durable. The first record is never torn, because
 * the file got its name after it was durable.
 */
export function replay(file: Buffer, newestFormat = presentFormat): Replay {
  const bytes = withoutZeroTail(file)
  const first = bytes.length === 0 ? null : readRecord(bytes, 0)
  if (first?.kind === 'damaged') return bad(0, first.reason)
  if (first?.kind !== 'record') return bad(0, 'the first record is not whole')
  const snapshot = parseSnapshot(first.payload, newestFormat)
  if ('reason' in snapshot) return bad(0, snapshot.reason)
  const tables = new Tables()
  tables.apply(snapshot.changes)
  let { sequence } = snapshot
  let offset = first.end
  while (offset < bytes.length) {
    const read = readRecord(bytes, offset)
    if (read.kind === 'torn') break
    if (read.kind === 'damaged') return bad(offset, read.reason)
    const group = parseGroup(read.payload)
    if (group.sequence !== sequence + 1) {
      return bad(offset, `group ${group.sequence} follows group ${sequence}`)
    }
    tables.apply(group.changes)
    sequence = group.sequence
    offset = read.end
  }
  const { format } = snapshot
  return { kind: 'good', tables, format, sequence, goodBytes: offset, snapshotBytes: first.end }
}

function bad(offset: number, reason: string): Replay {
  return { kind: 'bad', reason: `at byte ${offset}: ${reason}` }
}

function parseSnapshot(
  payload: string,
  newestFormat: number,
): { format: number; sequence: number; changes: TextChange[] } | { reason: string } {
  const { format, sequence, rows } = JSON.parse(payload) as {
    format: number
    sequence: number
    rows: ChangeRow[]
  }
  if (format > newestFormat) {
    return {
      reason: `its format is ${format} and this version knows none after ${newestFormat}; use the newer version that wrote it`,
    }
  }
  return { format, sequence, changes: rows.map(changeOf) }
}

function parseGroup(payload: string): { sequence: number; changes: TextChange[] } {
  const { sequence, changes } = JSON.parse(payload) as { sequence: number; changes: ChangeRow[] }
  return { sequence, changes: changes.map(changeOf) }
}

function changeOf([table, key, value]: ChangeRow): TextChange {
  return { table, key, json: value === null ? null : JSON.stringify(value) }
}
