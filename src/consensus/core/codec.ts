/**
 * Messages between servers, entries and configurations as bytes. Whatever cannot be is refused with
 * CodecError.
 */
import { ByteReader, ByteWriter, CodecError, pack, unpack } from '../../base/bytes.ts'
import { maxCommandBytes, maxSnapshotBytes } from '../ports.ts'
import {
  type Configuration,
  type Entry,
  type EntryContent,
  type Message,
  type MessageOf,
  type ServerId,
  type Snapshot,
  limits,
} from './types.ts'

const maxNameBytes = 255
/** A command with what its client session adds. */
const maxDataBytes = maxCommandBytes + 1024

const entryKinds = ['empty', 'command', 'configuration', 'version'] as const

/** The numbers of each kind of message, in their order on the wire. */
const numbers = {
  vote: ['lastIndex', 'lastTerm', 'knows'],
  voted: [],
  append: ['prevIndex', 'prevTerm', 'commit', 'round'],
  appended: ['round', 'match', 'rejected', 'hintIndex', 'hintTerm', 'knows'],
  snapshot: ['round', 'offset', 'total'],
  received: ['round', 'index', 'offset'],
  'timeout-now': [],
} as const satisfies { [K in Message['kind']]: readonly Exclude<keyof MessageOf<K>, 'kind'>[] }
const messageKinds = Object.keys(numbers) as Message['kind'][]

/** The flags of all messages, one bit each. */
const flags = ['isPre', 'isTransfer', 'granted'] as const

/** No index or version of ours comes near these. */
const maxIndex = 2 ** 48
const maxVersion = 2 ** 16

export function writeText(writer: ByteWriter, text: string): void {
  writer.block(pack(Buffer.from(text)))
}

/** A text of at most `maxBytes` bytes of UTF-8. */
export function readText(reader: ByteReader, maxBytes = maxNameBytes): string {
  return Buffer.from(readBytes(reader, maxBytes)).toString()
}

export function writeBytes(writer: ByteWriter, bytes: Uint8Array): void {
  writer.varint(bytes.length).raw(bytes)
}

export function readBytes(reader: ByteReader, maxBytes: number): Uint8Array {
  return unpack(reader.packed(bounded(reader.varint(), maxBytes)))
}

export function writeTexts(writer: ByteWriter, texts: readonly string[]): void {
  writer.varint(texts.length)
  for (const text of texts) writeText(writer, text)
}

export function readTexts(reader: ByteReader, maxCount: number): string[] {
  return Array.from({ length: bounded(reader.varint(), maxCount) }, () => readText(reader))
}

function writeConfiguration(writer: ByteWriter, configuration: Configuration): void {
  writeTexts(writer, configuration.voters)
  writeTexts(writer, configuration.learners)
}

function readConfiguration(reader: ByteReader): Configuration {
  const voters: ServerId[] = readTexts(reader, limits.maxServers)
  const learners: ServerId[] = readTexts(reader, limits.maxServers)
  return { voters, learners }
}

/** The entry but for its index. */
export function writeEntry(writer: ByteWriter, entry: Entry): void {
  writer.uint(entryKinds.indexOf(entry.kind), 1).varint(entry.term).varint(entry.timeMs)
  if (entry.kind === 'command') writeBytes(writer, entry.data)
  else if (entry.kind === 'configuration') writeConfiguration(writer, entry.configuration)
  else if (entry.kind === 'version') writer.varint(entry.version)
}

export function readEntry(reader: ByteReader, index: number): Entry {
  const kind = entryKinds[reader.uint(1)]
  const place = { index, term: reader.varint(), timeMs: reader.varint() }
  return { ...place, ...contentOf(reader, kind) }
}

function contentOf(reader: ByteReader, kind: Entry['kind'] | undefined): EntryContent {
  switch (kind) {
    case 'empty':
      return { kind }
    case 'command':
      return { kind, data: readBytes(reader, maxDataBytes) }
    case 'configuration':
      return { kind, configuration: readConfiguration(reader) }
    case 'version':
      return { kind, version: bounded(reader.varint(), maxVersion) }
    default:
      throw new CodecError('no such kind of entry')
  }
}

/** The snapshot but for its data. */
function writeSnapshot(writer: ByteWriter, snapshot: Snapshot): void {
  writer.varint(snapshot.index).varint(snapshot.term).varint(snapshot.timeMs)
  writer.varint(snapshot.version)
  writeConfiguration(writer, snapshot.configuration)
}

function readSnapshot(reader: ByteReader): Omit<Snapshot, 'data'> {
  const index = bounded(reader.varint(), maxIndex)
  const [term, timeMs] = [reader.varint(), reader.varint()]
  const version = bounded(reader.varint(), maxVersion)
  return { index, term, timeMs, version, configuration: readConfiguration(reader) }
}

export function writeMessage(writer: ByteWriter, message: Message): void {
  const fields = message as unknown as Record<string, number | boolean | undefined>
  writer.uint(messageKinds.indexOf(message.kind), 1).varint(message.term)
  const bits = flags.reduce((sum, name, bit) => sum + (fields[name] === true ? 1 << bit : 0), 0)
  writer.uint(bits, 1)
  for (const name of numbers[message.kind]) writer.varint(fields[name] as number)
  if (message.kind === 'append') {
    writer.varint(message.entries.length)
    for (const entry of message.entries) writeEntry(writer, entry)
  } else if (message.kind === 'snapshot') {
    writeSnapshot(writer, message.snapshot)
    writeBytes(writer, message.snapshot.data)
  }
}

export function readMessage(reader: ByteReader): Message {
  const kind = messageKinds[reader.uint(1)]
  if (kind === undefined) throw new CodecError('no such kind of message')
  const message: Record<string, unknown> = { kind, term: reader.varint() }
  const bits = reader.uint(1)
  for (const [bit, name] of flags.entries()) message[name] = (bits & (1 << bit)) !== 0
  for (const name of numbers[kind]) message[name] = bounded(reader.varint(), maxIndex)
  if (kind === 'append') message['entries'] = readEntries(reader, message)
  else if (kind === 'snapshot') {
    const place = readSnapshot(reader)
    message['snapshot'] = { ...place, data: readBytes(reader, limits.maxChunkBytes) }
    bounded(message['total'] as number, maxSnapshotBytes)
  }
  return message as unknown as Message
}

/** Entries after `prevIndex`, none of a later term than the message's. */
function readEntries(reader: ByteReader, message: Record<string, unknown>): Entry[] {
  const { prevIndex, term } = message as MessageOf<'append'>
  const count = bounded(reader.varint(), limits.maxAppendEntries)
  const entries = Array.from({ length: count }, (_, i) => readEntry(reader, prevIndex + 1 + i))
  for (const entry of entries) bounded(entry.term, term)
  return entries
}

function bounded(value: number, most: number): number {
  if (value > most) throw new CodecError(`${value}, where ${most} is the most`)
  return value
}

export function encodeEntry(entry: Entry): Uint8Array {
  const writer = new ByteWriter()
  writeEntry(writer, entry)
  return writer.bytes()
}

export function decodeEntry(bytes: Uint8Array, index: number): Entry {
  return readEntry(new ByteReader(bytes), index)
}
