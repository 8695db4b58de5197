/**
 * The messages between members. A message is
 *
 *     4f 02 | sender's oid 8 | frames        frame: kind 1 | length varint | body
 *
 * The first byte is one that neither serf nor Docker's own gossip uses, the second the version of
 * this format. A frame of an unknown kind is skipped, and so is what an unknown flag adds to a
 * delta: a later release can add both.
 */
import { ByteReader, ByteWriter, CodecError, type Packed } from '../../base/bytes.ts'
import { type Coverage, type Range, maxRanges } from '../log/coverage.ts'
import type { EpochTombstone } from '../log/epoch-tombstones.ts'
import type { Delta } from '../log/origin-log.ts'
import { signatureBytes } from '../log/signed-head.ts'
import type { VersionSummary } from '../log/origin.ts'
import { decodeDelta, encodeDelta, readEpoch } from './delta-codec.ts'

/** First byte of everything of ours: messages, metadata, payloads of acks. */
export const magicByte = 0x4f
/** Second byte: the version of the format. */
export const formatVersion = 2

/** What a member has of one origin; it asks for the rest. */
export interface DeltaRequest {
  readonly oid: Packed
  readonly epoch: number
  readonly coverage: Coverage
}

export type Frame =
  | { readonly kind: 'delta'; readonly delta: Delta }
  /** The hashes of all buckets; answered with the summaries of the buckets that differ. */
  | { readonly kind: 'digest'; readonly buckets: Uint8Array }
  /** `buckets`: all summaries of these buckets, in answer to a digest. Empty: some summaries. */
  | {
      readonly kind: 'summaries'
      readonly answer: boolean
      readonly buckets: readonly number[]
      readonly summaries: readonly VersionSummary[]
    }
  | { readonly kind: 'deltaRequest'; readonly requests: readonly DeltaRequest[] }
  /** About a transfer by TCP: more follows, all was sent, or ask another member. */
  | { readonly kind: 'transfer'; readonly state: 'more' | 'done' | 'busy' }
  /** The owner has left in this epoch. */
  | {
      readonly kind: 'leave'
      readonly oid: Packed
      readonly epoch: number
      /** The owner's; empty where logs are not signed. */
      readonly signature: Packed
    }
  | {
      readonly kind: 'request'
      readonly id: number
      readonly channel: string
      readonly body: string
    }
  | { readonly kind: 'answer'; readonly id: number; readonly ok: boolean; readonly body: string }
  /** For a channel of another room; nothing is answered. */
  | { readonly kind: 'message'; readonly channel: string; readonly body: Packed }

const kindNumbers = {
  delta: 1,
  digest: 2,
  summaries: 3,
  deltaRequest: 4,
  transfer: 5,
  leave: 6,
  request: 7,
  answer: 8,
  // 9 is not to be used again: earlier releases ask with it whether a member is alive.
  message: 10,
} as const satisfies Record<Frame['kind'], number>

const transferStates = ['more', 'done', 'busy'] as const

/** Frames of one message. A piece of a transfer has 32 KB, in which fewer find room. */
const maxFrames = 2048
/** All deltas of one message: a piece of a transfer, or one that has a single long record. */
const maxDeltaBytes = 256 * 1024

/** Bytes before the first frame. */
export const envelopeBytes = 10

/** That the owner of an epoch has left, for those that do not know. */
export function leaveFrame(oid: Packed, { epoch, signature }: EpochTombstone): Frame {
  return { kind: 'leave', oid, epoch, signature }
}

/** A frame's body with its kind and length in front. */
export function encodeFrame(frame: Frame): Uint8Array {
  const body = encodeBody(frame)
  return new ByteWriter().uint(kindNumbers[frame.kind], 1).varint(body.length).raw(body).bytes()
}

/** A message of encoded frames. */
export function encodeMessage(sender: Packed, frames: readonly Uint8Array[]): Uint8Array {
  const out = new ByteWriter().uint(magicByte, 1).uint(formatVersion, 1).packed(sender)
  for (const frame of frames) out.raw(frame)
  return out.bytes()
}

/** Reads a message; null when it has another format. Throws CodecError when it is malformed. */
export function decodeMessage(bytes: Uint8Array): { sender: Packed; frames: Frame[] } | null {
  if (bytes[0] !== magicByte || bytes[1] !== formatVersion) return null
  const reader = new ByteReader(bytes, 2)
  const sender = reader.packed(8)
  const frames: Frame[] = []
  let deltaBytes = 0
  for (let count = 1; reader.left > 0; count++) {
    const kind = reader.uint(1)
    const body = reader.part(reader.varint())
    if (kind === kindNumbers.delta) deltaBytes += body.left
    if (count > maxFrames || deltaBytes > maxDeltaBytes) throw new CodecError('too much at once')
    const frame = decodeBody(kind, body)
    if (frame !== null) frames.push(frame)
  }
  return { sender, frames }
}

function encodeBody(frame: Frame): Uint8Array {
  const out = new ByteWriter()
  switch (frame.kind) {
    case 'delta':
      return encodeDelta(frame.delta)
    case 'digest':
      return frame.buckets
    case 'summaries':
      out.uint(frame.answer ? 1 : 0, 1).uint(frame.buckets.length, 1)
      for (const bucket of frame.buckets) out.uint(bucket, 1)
      for (const { oid, epoch, prefix, head } of frame.summaries) {
        out.packed(oid).uint(epoch, 6).varint(prefix)
        out.varint(Math.max(0, head - prefix))
      }
      break
    case 'deltaRequest':
      for (const request of frame.requests) writeRequest(out, request)
      break
    case 'transfer':
      out.uint(transferStates.indexOf(frame.state), 1)
      break
    case 'leave':
      out.packed(frame.oid).uint(frame.epoch, 6).packed(frame.signature)
      break
    case 'request':
      out.uint(frame.id, 6).block(utf8(frame.channel)).packed(utf8(frame.body))
      break
    case 'answer':
      out
        .uint(frame.id, 6)
        .uint(frame.ok ? 1 : 0, 1)
        .packed(utf8(frame.body))
      break
    case 'message':
      out.block(utf8(frame.channel)).packed(frame.body)
      break
  }
  return out.bytes()
}

function decodeBody(kind: number, reader: ByteReader): Frame | null {
  switch (kind) {
    case kindNumbers.delta:
      return { kind: 'delta', delta: decodeDelta(reader) }
    case kindNumbers.digest:
      return { kind: 'digest', buckets: Buffer.from(reader.packed(reader.left), 'latin1') }
    case kindNumbers.summaries:
      return readSummaries(reader)
    case kindNumbers.deltaRequest:
      return { kind: 'deltaRequest', requests: readAll(reader, readRequest) }
    case kindNumbers.transfer:
      return { kind: 'transfer', state: transferStates[reader.uint(1)] ?? 'done' }
    case kindNumbers.leave:
      return readLeave(reader)
    case kindNumbers.request: {
      const id = reader.uint(6)
      const channel = text(reader.block())
      return { kind: 'request', id, channel, body: text(reader.packed(reader.left)) }
    }
    case kindNumbers.answer: {
      const id = reader.uint(6)
      const ok = reader.uint(1) === 1
      return { kind: 'answer', id, ok, body: text(reader.packed(reader.left)) }
    }
    case kindNumbers.message:
      return { kind: 'message', channel: text(reader.block()), body: reader.packed(reader.left) }
    default:
      return null
  }
}

function readLeave(reader: ByteReader): Frame {
  const [oid, epoch] = [reader.packed(8), readEpoch(reader)]
  const isSigned = reader.left >= signatureBytes
  return { kind: 'leave', oid, epoch, signature: isSigned ? reader.packed(signatureBytes) : '' }
}

function readSummaries(reader: ByteReader): Frame {
  const answer = (reader.uint(1) & 1) === 1
  const buckets = Array.from({ length: reader.uint(1) }, () => reader.uint(1))
  const summaries = readAll(reader, (): VersionSummary => {
    const oid = reader.packed(8)
    const epoch = readEpoch(reader)
    const prefix = reader.varint()
    return { oid, epoch, prefix, head: sum(prefix, reader.varint()) }
  })
  return { kind: 'summaries', answer, buckets, summaries }
}

function writeRequest(out: ByteWriter, { oid, epoch, coverage }: DeltaRequest): void {
  out.packed(oid).uint(epoch, 6).varint(coverage.prefix).varint(coverage.above.length)
  let before = coverage.prefix
  for (const range of coverage.above) {
    out.varint(range.from - before).varint(range.to - range.from)
    before = range.to
  }
}

function readRequest(reader: ByteReader): DeltaRequest {
  const oid = reader.packed(8)
  const epoch = readEpoch(reader)
  const prefix = reader.varint()
  const count = reader.varint()
  if (count > maxRanges) throw new CodecError('too many ranges')
  const above: Range[] = []
  let before = prefix
  for (let i = 0; i < count; i++) {
    const from = sum(before, reader.varint())
    before = sum(from, reader.varint())
    above.push({ from, to: before })
  }
  return { oid, epoch, coverage: { prefix, above } }
}

function readAll<T>(reader: ByteReader, read: (reader: ByteReader) => T): T[] {
  const items: T[] = []
  while (reader.left > 0) items.push(read(reader))
  return items
}

function sum(a: number, b: number): number {
  if (a + b > Number.MAX_SAFE_INTEGER) throw new CodecError('a version is too large')
  return a + b
}

function utf8(value: string): Packed {
  return Buffer.from(value, 'utf8').toString('latin1')
}

function text(value: Packed): string {
  return Buffer.from(value, 'latin1').toString('utf8')
}
