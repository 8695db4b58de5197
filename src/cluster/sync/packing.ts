/** Cuts logs into deltas, and packs rumours and frames into messages that fit a packet. */
import type { Packed } from '../../base/bytes.ts'
import { maxEntryBytes, maxHeaderBytes, maxRangeBytes } from '../wire/delta-codec.ts'
import { encodeFrame, encodeMessage, envelopeBytes } from '../wire/frames.ts'
import type { Rumour } from './rumour-queue.ts'
import type { Range } from '../log/coverage.ts'
import type { Delta, DeltaRange, Entry, OriginLog } from '../log/origin-log.ts'
import type { Replica } from '../log/replica.ts'

/** The most that a frame of a few hundred bytes takes beyond its body. */
const frameHeadBytes = 4

/** The frames of rumours. One that was superseded is left out: its successor is a rumour too. */
export function framesOfRumours(
  items: readonly Rumour[],
  replica: Replica,
  maxBytes: number,
): Uint8Array[] {
  const frames: Uint8Array[] = []
  const entries = new Map<OriginLog, Entry[]>()
  for (const { kind, oid, epoch, id, version, signature } of items) {
    if (kind === 'leave') frames.push(encodeFrame({ kind, oid, epoch, signature }))
    const log = replica.origin(oid)?.log
    if (kind === 'leave' || log === undefined || log.epoch !== epoch) continue
    const listed = entries.get(log) ?? []
    entries.set(log, listed)
    const entry = log.entry(id)
    if (entry !== undefined && entry.version === version) listed.push(entry)
  }
  for (const [log, listed] of entries) {
    listed.sort((a, b) => a.version - b.version)
    frames.push(...framesOfEntries(log, listed, maxBytes))
  }
  return frames
}

/** Packs frames, in order, into messages of at most `maxBytes`; a longer frame gets its own. */
export function messagesOf(
  sender: Packed,
  frames: readonly Uint8Array[],
  maxBytes: number,
): Uint8Array[] {
  const groups = [...groupsOf(frames, maxBytes - envelopeBytes)]
  return groups.map((group) => encodeMessage(sender, group))
}

/** Frames, in order, in groups of at most `maxBytes`; a longer frame is a group of its own. */
export function* groupsOf(frames: Iterable<Uint8Array>, maxBytes: number): Generator<Uint8Array[]> {
  let group: Uint8Array[] = []
  let used = 0
  for (const frame of frames) {
    if (group.length > 0 && used + frame.length > maxBytes) {
      yield group
      group = []
      used = 0
    }
    group.push(frame)
    used += frame.length
  }
  if (group.length > 0) yield group
}

/** A log's entries, ascending, with the range that each covers, in frames that fit a message. */
function framesOfEntries(log: OriginLog, entries: Entry[], maxBytes: number): Uint8Array[] {
  const { oid, epoch, floor, head } = log
  const { signed } = log
  const bare = { oid, epoch, floor, head, reset: null, repair: false, ...(signed && { signed }) }
  const room = maxBytes - envelopeBytes - frameHeadBytes - maxHeaderBytes(log, signed)
  const frames: Uint8Array[] = []
  let ranges: { from: number; to: number; entries: Entry[] }[] = []
  let used = 0
  const flush = (): void => {
    frames.push(encodeFrame({ kind: 'delta', delta: { ...bare, ranges } }))
    ranges = []
    used = 0
  }
  for (const entry of entries) {
    const size = maxEntryBytes(entry) + maxRangeBytes
    if (ranges.length > 0 && used + size > room) flush()
    used += size
    const from = log.rangeStart(entry.version)
    const last = ranges.at(-1)
    if (last === undefined || from > last.to) {
      ranges.push({ from, to: entry.version, entries: [entry] })
    } else {
      last.entries.push(entry)
      last.to = entry.version
    }
  }
  flush()
  return frames
}

/**
 * Cuts what a log has in `ranges` into deltas of at most `maxBytes` bytes each (one record may be
 * longer), each with whole records and the versions they cover. No ranges: one delta that only says
 * that the epoch exists. The log may drop tombstones between two of them: each has the floor of its
 * moment.
 */
export function* deltasOf(
  log: OriginLog,
  ranges: readonly Range[],
  {
    reset,
    repair,
    maxBytes,
    certificate = '',
  }: { reset: number | null; repair: boolean; maxBytes: number; certificate?: Packed },
): Generator<Delta> {
  const { oid, epoch, head } = log
  const signed = log.signed && { ...log.signed, certificate }
  const room = maxBytes - maxHeaderBytes({ floor: head, head }, signed)
  const bare = { oid, epoch, head, reset, repair, ...(signed && { signed }) }
  const deltaOf = (ranges: readonly DeltaRange[]): Delta => ({ ...bare, floor: log.floor, ranges })
  let pieces: DeltaRange[] = []
  let used = 0
  for (const range of ranges) {
    for (const piece of piecesOf(log.between(range.from, range.to), range, room)) {
      const size = pieceBytes(piece)
      if (pieces.length > 0 && used + size > room) {
        yield deltaOf(pieces)
        pieces = []
        used = 0
      }
      pieces.push(piece)
      used += size
    }
  }
  if (pieces.length > 0 || ranges.length === 0) yield deltaOf(pieces)
}

function pieceBytes(piece: DeltaRange): number {
  return piece.entries.reduce((sum, entry) => sum + maxEntryBytes(entry), maxRangeBytes)
}

function* piecesOf(entries: readonly Entry[], range: Range, room: number): Generator<DeltaRange> {
  let from = range.from
  let start = 0
  let used = maxRangeBytes
  for (const [i, entry] of entries.entries()) {
    const size = maxEntryBytes(entry)
    if (i > start && used + size > room) {
      const to = entries[i - 1]!.version
      yield { from, to, entries: entries.slice(start, i) }
      from = to
      start = i
      used = maxRangeBytes
    }
    used += size
  }
  yield { from, to: range.to, entries: entries.slice(start) }
}
