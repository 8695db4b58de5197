/**
 * Deltas as bytes.
 *
 *     delta   oid 8 | epoch 6 | flags 1 (1 reset, 2 repair, 4 time, 8 signed) | [more]
 *             | floor | head | [reset] | [time] | [signed] | ranges
 *     signed  version | root 32 | signature 64 | length of the certificate, certificate
 *     range   from, less the last range's end | length | 2 * records, + 1 when the last is at the
 *             end | records
 *     record  endpoint   tag 1 | [version] | [vni 3] | endpoint id 8 | [time] | [tail]
 *             any kind   tag 1 | [version] | kind 1 | key length, key | [value length, value]
 *
 * Any other flag is a later release's: [more] follows, a length and bytes, which are skipped. So a
 * later release may add to a delta, but must not change the rest: a member that cannot read a delta
 * would lack its versions forever.
 *
 * Numbers without a size are varints. A record's version is its distance from the one before it in
 * the range, less one; a last record at the range's end leaves it out. An endpoint's tag is the
 * form of endpoint-record.ts, with MAC form 3 for a tombstone and bit 6 when the VNI is that of the
 * endpoint before it in this delta. The time of a delta is that of its first endpoint, which leaves
 * its own out, as the difference from the second in which the epoch began; those of later endpoints
 * are differences from the one before. The tag of any other record has bit 7, and bit 0 for a
 * tombstone. So a typical endpoint takes 15 to 18 bytes.
 */
import { ByteReader, ByteWriter, CodecError, type Packed, varintLength } from '../../base/bytes.ts'
import { epochLimit } from '../log/own-epoch.ts'
import {
  maxClaimedAt,
  endpointKeyBytes,
  endpointKind,
  endpointTailBytes,
  isEndpointValue,
} from './endpoint-record.ts'
import type { Delta, DeltaRange, Entry } from '../log/origin-log.ts'
import { type SignedHead, rootBytes, signatureBytes } from '../log/signed-head.ts'

const flagReset = 1
const flagRepair = 2
const flagTime = 4
const flagSigned = 8
const flagsKnown = 15
const tagOther = 0x80
const tagSameVni = 0x40
const tagTombstone = 0x30

/** Joins pieces into one flat string, which takes less memory than a concatenation. */
const scratch = new ByteWriter()

/** What a record may leave out because it follows from the record before it. */
interface DeltaContext {
  vni: Packed
  claim: number
  /** Whether the next endpoint's time is `claim`. */
  isClaimOfNext: boolean
}

/** Encodes one delta. */
export function encodeDelta(delta: Delta): Uint8Array {
  const out = new ByteWriter()
  const context = writeHead(out, delta)
  let before = 0
  for (const range of delta.ranges) {
    out
      .varint(range.from - before)
      .varint(range.to - range.from)
      .varint(2 * range.entries.length + (endsWithRecord(range) ? 1 : 0))
    let version = range.from
    for (const entry of range.entries) {
      const distance = entry.version === range.to ? null : entry.version - version - 1
      writeEntry(out, entry, distance, context)
      version = entry.version
    }
    before = range.to
  }
  return out.bytes()
}

/** Decodes one delta. Throws CodecError for anything that no encoder makes. */
export function decodeDelta(reader: ByteReader): Delta {
  const oid = reader.packed(8)
  const epoch = readEpoch(reader)
  const flags = reader.uint(1)
  if (flags > flagsKnown) reader.block()
  const floor = reader.varint()
  const head = reader.varint()
  const reset = flags & flagReset ? reader.varint() : null
  const isClaimOfNext = (flags & flagTime) !== 0
  const began = secondOf(epoch)
  const claim = isClaimOfNext ? readClaim(reader, began) : began
  const context: DeltaContext = { vni: '', claim, isClaimOfNext }
  const signed = flags & flagSigned ? readSigned(reader) : null
  const ranges: DeltaRange[] = []
  let before = 0
  while (reader.left > 0) {
    const range = readRange(reader, before, context)
    ranges.push(range)
    before = range.to
  }
  const repair = (flags & flagRepair) !== 0
  return { oid, epoch, floor, head, reset, repair, ranges, ...(signed && { signed }) }
}

function readSigned(reader: ByteReader): SignedHead {
  const version = reader.varint()
  const root = reader.packed(rootBytes)
  const signature = reader.packed(signatureBytes)
  return { version, root, signature, certificate: reader.block() }
}

/** The most bytes that a record takes on the wire. */
export function maxEntryBytes(entry: Entry): number {
  return 12 + entry.id.length + (entry.value?.length ?? 0)
}

/** The most bytes that a delta takes before its ranges. */
export function maxHeaderBytes(
  { floor, head }: Pick<Delta, 'floor' | 'head'>,
  signed: SignedHead | null,
): number {
  const proof = signed === null ? 0 : rootBytes + signatureBytes + 10 + signed.certificate.length
  return 20 + varintLength(floor) + 2 * varintLength(head) + proof
}

/** Three varints. */
export const maxRangeBytes = 20

/** Reads an epoch. Throws CodecError above the limit. */
export function readEpoch(reader: ByteReader): number {
  const epoch = reader.uint(6)
  if (epoch >= epochLimit) throw new CodecError('an epoch is too large')
  return epoch
}

function writeHead(out: ByteWriter, delta: Delta): DeltaContext {
  const { oid, epoch, floor, head, reset, repair, signed } = delta
  const began = secondOf(epoch)
  const claim = firstClaim(delta)
  const flags =
    (reset === null ? 0 : flagReset) + (repair ? flagRepair : 0) + (claim === null ? 0 : flagTime)
  const signedFlag = signed === undefined ? 0 : flagSigned
  out
    .packed(oid)
    .uint(epoch, 6)
    .uint(flags + signedFlag, 1)
    .varint(floor)
    .varint(head)
  if (reset !== null) out.varint(reset)
  if (claim !== null) out.zigzag(claim - began)
  if (signed !== undefined) {
    const { version, root, signature, certificate } = signed
    out.varint(version).packed(root).packed(signature).block(certificate)
  }
  return { vni: '', claim: claim ?? began, isClaimOfNext: claim !== null }
}

function firstClaim({ ranges }: Delta): number | null {
  for (const { entries } of ranges) {
    for (const { id, value } of entries) {
      if (value !== null && isCompact(id, value)) return uint32At(value, 1)
    }
  }
  return null
}

function endsWithRecord({ to, entries }: DeltaRange): boolean {
  return entries.at(-1)?.version === to
}

function readRange(reader: ByteReader, before: number, context: DeltaContext): DeltaRange {
  const from = before + reader.varint()
  const to = from + reader.varint()
  const counted = reader.varint()
  const count = Math.floor(counted / 2)
  const atEnd = counted % 2 === 1
  if (to > Number.MAX_SAFE_INTEGER) throw new CodecError('a version is too large')
  if (count > reader.left) throw new CodecError('more records than bytes')
  const entries: Entry[] = []
  let version = from
  for (let i = 0; i < count; i++) {
    const entry = readEntry(
      reader,
      { before: version, at: atEnd && i === count - 1 ? to : null },
      context,
    )
    if (entry.version <= version || entry.version > to)
      throw new CodecError('a record outside its range')
    version = entry.version
    entries.push(entry)
  }
  return { from, to, entries }
}

function secondOf(epoch: number): number {
  return Math.min(Math.floor(epoch / 1000), maxClaimedAt)
}

/** Whether it is an endpoint that can be written without the lengths of its parts. */
function isCompact(id: Packed, value: Packed | null): boolean {
  const isEndpoint = id.charCodeAt(0) === endpointKind && id.length === 1 + endpointKeyBytes
  return isEndpoint && (value === null || isEndpointValue(value))
}

function writeEntry(
  out: ByteWriter,
  entry: Entry,
  distance: number | null,
  context: DeltaContext,
): void {
  const { id, value } = entry
  if (!isCompact(id, value)) {
    out.uint(tagOther + (value === null ? 1 : 0), 1)
    if (distance !== null) out.varint(distance)
    out.uint(id.charCodeAt(0), 1).block(id.slice(1))
    if (value !== null) out.block(value)
    return
  }
  const vni = id.slice(1, 4)
  const form = value === null ? tagTombstone : value.charCodeAt(0)
  out.uint(form + (vni === context.vni ? tagSameVni : 0), 1)
  if (distance !== null) out.varint(distance)
  out.packed(vni === context.vni ? id.slice(4) : id.slice(1))
  context.vni = vni
  if (value === null) return
  const claim = uint32At(value, 1)
  if (!context.isClaimOfNext) out.zigzag(claim - context.claim)
  out.packed(value.slice(5))
  Object.assign(context, { claim, isClaimOfNext: false })
}

function readEntry(
  reader: ByteReader,
  { before, at }: { before: number; at: number | null },
  context: DeltaContext,
): Entry {
  const tag = reader.uint(1)
  const version = at ?? before + 1 + reader.varint()
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

function readEndpointValue(reader: ByteReader, form: number, context: DeltaContext): Packed {
  const claim = context.isClaimOfNext ? context.claim : readClaim(reader, context.claim)
  Object.assign(context, { claim, isClaimOfNext: false })
  const tail = endpointTail(reader, form)
  scratch.truncate(0)
  return scratch.uint(form, 1).uint(claim, 4).packed(tail).text()
}

function readClaim(reader: ByteReader, before: number): number {
  const claim = before + reader.zigzag()
  if (claim < 0 || claim > maxClaimedAt) throw new CodecError('a time out of range')
  return claim
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
