/**
 * Deltas in bytes.
 *
 *     delta   oid 8 | epoch 6 | flags 1 (1 reset, 2 repair) | floor | head | [reset] | ranges
 *     range   from, less the last range's end | length | number of records | records
 *     record  endpoint   tag 1 | version | [vni 3] | endpoint id 8 | [time] | [tail]
 *             any kind   tag 1 | version | kind 1 | key length, key | [value length, value]
 *
 * Numbers without a size are varints. A record's version is told as its distance from the one before
 * it in the range, less one. An endpoint's tag is the form of endpoint-record.ts, with MAC form 3 for a
 * tombstone and bit 6 when the VNI is that of the endpoint before it in this delta; its time is told as
 * the difference from the one before, at first from the epoch's. The tag of any other record has bit 7,
 * and bit 0 for a tombstone. So the usual endpoint takes 17 to 20 bytes, and 17 to 24 with a MAC of its own.
 */
import { ByteReader, ByteWriter, CodecError, type Packed, varintLength } from './bytes.ts'
import type { Range } from './coverage.ts'
import {
  claimMost,
  endpointKeyBytes,
  endpointKind,
  endpointTailBytes,
  isEndpointValue,
} from './endpoint-record.ts'
import type { Delta, DeltaRange, Entry, OriginLog } from './origin-log.ts'

const flagReset = 1
const flagRepair = 2
const tagOther = 0x80
const tagSameVni = 0x40
const tagTombstone = 0x30

/** Joins pieces into one flat string, which takes less memory than a concatenation does. */
const scratch = new ByteWriter()

/** What a record leaves out because the one before it said it. */
interface Context {
  vni: Packed
  claim: number
}

/** Encodes one delta. */
export function encodeDelta(delta: Delta): Uint8Array {
  const out = new ByteWriter()
  writeHead(out, delta)
  const context = contextOf(delta.epoch)
  let before = 0
  for (const range of delta.ranges) {
    out
      .varint(range.from - before)
      .varint(range.to - range.from)
      .varint(range.entries.length)
    let version = range.from
    for (const entry of range.entries) {
      writeEntry(out, entry, version, context)
      version = entry.version
    }
    before = range.to
  }
  return out.bytes()
}

/** Decodes one delta. Throws CodecError for anything that no encoder makes. */
export function decodeDelta(reader: ByteReader): Delta {
  const oid = reader.packed(8)
  const epoch = reader.uint(6)
  const flags = reader.uint(1)
  const floor = reader.varint()
  const head = reader.varint()
  const reset = flags & flagReset ? reader.varint() : null
  const context = contextOf(epoch)
  const ranges: DeltaRange[] = []
  let before = 0
  while (reader.left > 0) {
    const range = readRange(reader, before, context)
    ranges.push(range)
    before = range.to
  }
  return { oid, epoch, floor, head, reset, repair: (flags & flagRepair) !== 0, ranges }
}

/**
 * Cuts what a log has in `ranges` into deltas of at most `bytesMost` bytes each (one record may be
 * longer), each with whole records and the coverage that goes with them. No ranges: one delta that
 * only tells of the epoch.
 */
export function* deltasOf(
  log: OriginLog,
  ranges: readonly Range[],
  { reset, repair, bytesMost }: { reset: number | null; repair: boolean; bytesMost: number },
): Generator<Delta> {
  const { oid, epoch, floor, head } = log
  const bare = { oid, epoch, floor, head, reset, repair }
  const room = bytesMost - headBytes(bare)
  let pieces: DeltaRange[] = []
  let used = 0
  for (const range of ranges) {
    for (const piece of piecesOf(log.between(range.from, range.to), range, room)) {
      const size = pieceBytes(piece)
      if (pieces.length > 0 && used + size > room) {
        yield { ...bare, ranges: pieces }
        pieces = []
        used = 0
      }
      pieces.push(piece)
      used += size
    }
  }
  if (pieces.length > 0 || ranges.length === 0) yield { ...bare, ranges: pieces }
}

/** The most bytes that a record takes on the way. */
export function entryBytes(entry: Entry): number {
  return 12 + entry.id.length + (entry.value?.length ?? 0)
}

/** The most bytes that a delta takes before its ranges. */
export function headBytes({ floor, head }: Pick<Delta, 'floor' | 'head'>): number {
  return 15 + varintLength(floor) + 2 * varintLength(head)
}

function pieceBytes(piece: DeltaRange): number {
  return piece.entries.reduce((sum, entry) => sum + entryBytes(entry), rangeBytesMost)
}

/** Three varints. */
export const rangeBytesMost = 20

function* piecesOf(entries: readonly Entry[], range: Range, room: number): Generator<DeltaRange> {
  let from = range.from
  let start = 0
  let used = rangeBytesMost
  for (const [i, entry] of entries.entries()) {
    const size = entryBytes(entry)
    if (i > start && used + size > room) {
      const to = entries[i - 1]!.version
      yield { from, to, entries: entries.slice(start, i) }
      from = to
      start = i
      used = rangeBytesMost
    }
    used += size
  }
  yield { from, to: range.to, entries: entries.slice(start) }
}

function writeHead(out: ByteWriter, delta: Omit<Delta, 'ranges'>): void {
  const flags = (delta.reset === null ? 0 : flagReset) + (delta.repair ? flagRepair : 0)
  out.packed(delta.oid).uint(delta.epoch, 6).uint(flags, 1).varint(delta.floor).varint(delta.head)
  if (delta.reset !== null) out.varint(delta.reset)
}

function readRange(reader: ByteReader, before: number, context: Context): DeltaRange {
  const from = before + reader.varint()
  const to = from + reader.varint()
  const count = reader.varint()
  if (to > Number.MAX_SAFE_INTEGER) throw new CodecError('a version is too large')
  if (count > reader.left) throw new CodecError('more records than bytes')
  const entries: Entry[] = []
  let version = from
  for (let i = 0; i < count; i++) {
    const entry = readEntry(reader, version, context)
    version = entry.version
    entries.push(entry)
  }
  if (version > to) throw new CodecError('a record outside its range')
  return { from, to, entries }
}

/** Times are told from the second in which the epoch began. */
function contextOf(epoch: number): Context {
  return { vni: '', claim: Math.min(Math.floor(epoch / 1000), claimMost) }
}

function writeEntry(out: ByteWriter, entry: Entry, before: number, context: Context): void {
  const { id, value } = entry
  const distance = entry.version - before - 1
  const compact =
    id.charCodeAt(0) === endpointKind &&
    id.length === 1 + endpointKeyBytes &&
    (value === null || isEndpointValue(value))
  if (!compact) {
    out.uint(tagOther + (value === null ? 1 : 0), 1).varint(distance)
    out.uint(id.charCodeAt(0), 1).block(id.slice(1))
    if (value !== null) out.block(value)
    return
  }
  const vni = id.slice(1, 4)
  const form = value === null ? tagTombstone : value.charCodeAt(0)
  out.uint(form + (vni === context.vni ? tagSameVni : 0), 1).varint(distance)
  out.packed(vni === context.vni ? id.slice(4) : id.slice(1))
  context.vni = vni
  if (value === null) return
  const claim = uint32At(value, 1)
  out.zigzag(claim - context.claim).packed(value.slice(5))
  context.claim = claim
}

function readEntry(reader: ByteReader, before: number, context: Context): Entry {
  const tag = reader.uint(1)
  const version = before + 1 + reader.varint()
  if (tag >= tagOther) {
    const kind = String.fromCharCode(reader.uint(1))
    const id = kind + reader.block()
    return { id, version, value: tag & 1 ? null : reader.block() }
  }
  const vni = tag & tagSameVni ? context.vni : reader.packed(3)
  if (vni === '') throw new CodecError('the first endpoint refers to one before it')
  scratch.truncate(0)
  const id = scratch.uint(endpointKind, 1).packed(vni).packed(reader.packed(8)).text()
  context.vni = vni
  const form = tag & 0x3f
  if (form >= tagTombstone) return { id, version, value: null }
  return { id, version, value: readEndpointValue(reader, form, context) }
}

function readEndpointValue(reader: ByteReader, form: number, context: Context): Packed {
  const claim = context.claim + reader.zigzag()
  if (claim < 0 || claim > claimMost) throw new CodecError('a time out of range')
  context.claim = claim
  const tail = endpointTail(reader, form)
  scratch.truncate(0)
  return scratch.uint(form, 1).uint(claim, 4).packed(tail).text()
}

function uint32At(text: Packed, at: number): number {
  const high = text.charCodeAt(at) * 0x100 + text.charCodeAt(at + 1)
  return high * 0x1_0000 + text.charCodeAt(at + 2) * 0x100 + text.charCodeAt(at + 3)
}

function endpointTail(reader: ByteReader, form: number): Packed {
  let first = ''
  const bytes = endpointTailBytes(form, () => {
    first = reader.packed(1)
    return first.charCodeAt(0)
  })
  return first + reader.packed(bytes - first.length)
}
