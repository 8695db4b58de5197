import type { Packed } from '../../base/bytes.ts'

/** Live records of one member, and their bytes: what it publishes beyond is not kept. */
const maxRecords = 65_536
const maxRecordBytes = 16 * 1024 * 1024

interface Entry {
  readonly id: Packed
  readonly value: Packed | null
}

/** What a log holds. */
interface Held {
  readonly size: number
  readonly bytes: number
}

/** The bytes of a live record; a tombstone has none. */
export function bytesOf({ id, value }: Entry): number {
  return value === null ? 0 : id.length + value.length
}

/** Whether a log has room for an entry that replaces `before`. */
export function hasRoomFor({ size, bytes }: Held, entry: Entry, before?: Entry): boolean {
  const freed = before === undefined ? 0 : bytesOf(before)
  const isMore = freed === 0 && entry.value !== null
  return !(isMore && size >= maxRecords) && bytes - freed + bytesOf(entry) <= maxRecordBytes
}
