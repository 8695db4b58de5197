/**
 * A TCP stream from the outside in: label header (from the dialler only), encrypted frame,
 * compression, one message. There is one message each way.
 */
import type { KeyObject } from 'node:crypto'
import { MAX_FRAME_BYTES, MAX_STREAM_BYTES } from '../limits.ts'
import { compress, decompressBody } from './layers/compress.ts'
import { decrypt, encrypt, encryptedLength, type EncryptionVersion } from './layers/crypt.ts'
import { assertLabel, labelHeader } from './layers/label.ts'
import { MessageType } from './messages.ts'
import type { ReplayFilter } from './layers/replay-filter.ts'
import { StreamReader } from './stream-reader.ts'
import { WireError } from './wire-error.ts'

/** Frame type and length. */
const FRAME_HEADER = 5

export interface FrameOptions {
  readonly label: Uint8Array
  /** Whether this side opened the connection: only its messages carry the label header. */
  readonly dialler: boolean
}

export interface SealStreamOptions extends FrameOptions {
  readonly compress: boolean
  readonly encryption?: {
    readonly key: KeyObject
    readonly version: EncryptionVersion
    readonly nonce: Uint8Array
  }
}

/** Wraps one message for a stream. */
export function sealStream(message: Uint8Array, options: SealStreamOptions): Uint8Array {
  let body = message
  if (options.compress) {
    const smaller = compress(body)
    if (smaller.length < body.length) body = smaller
  }
  if (options.encryption !== undefined) body = encryptFrame(body, options.label, options.encryption)
  return options.dialler ? Buffer.concat([labelHeader(options.label), body]) : body
}

function encryptFrame(
  body: Uint8Array,
  label: Uint8Array,
  { key, version, nonce }: NonNullable<SealStreamOptions['encryption']>,
): Uint8Array {
  const header = frameHeader(encryptedLength(version, body.length))
  const blob = encrypt(key, version, nonce, body, Buffer.concat([header, label]))
  return Buffer.concat([header, blob])
}

function frameHeader(length: number): Uint8Array {
  const header = new Uint8Array(FRAME_HEADER)
  header[0] = MessageType.encrypt
  new DataView(header.buffer).setUint32(1, length)
  return header
}

export interface OpenStreamOptions extends FrameOptions {
  readonly skipLabelCheck: boolean
  readonly keys: readonly KeyObject[]
  /** Whether clear text is refused when there are keys. */
  readonly verify: boolean
  /** What was opened already; absent: everything is opened as often as it comes. */
  readonly replays?: ReplayFilter
}

/** The message type, and a reader that stands at its body. */
export interface OpenedStream {
  readonly type: number
  readonly reader: StreamReader
}

/**
 * Takes the wrappers off an incoming stream. Throws {@link WireError}; an empty stream is
 * `truncated`.
 */
export async function openStream(
  source: AsyncIterable<Uint8Array>,
  options: OpenStreamOptions,
): Promise<OpenedStream> {
  let reader = new StreamReader(source)
  if (!options.dialler) await readLabel(reader, options)
  let type = await reader.byte()
  if (type === MessageType.encrypt) {
    reader = new StreamReader(undefined, await decryptFrame(reader, options))
    type = await reader.byte()
  } else if (options.keys.length > 0 && options.verify) {
    throw new WireError('plaintext-refused', 'encryption is configured but the stream is in clear')
  }
  if (type === MessageType.compress) {
    const plain = await reader.record(
      (record) => decompressBody(record, MAX_STREAM_BYTES),
      MAX_FRAME_BYTES,
    )
    reader = new StreamReader(undefined, plain)
    type = await reader.byte()
  }
  return { type, reader }
}

async function readLabel(reader: StreamReader, options: OpenStreamOptions): Promise<void> {
  const first = await reader.peek()
  if (first !== MessageType.label) {
    if (first === undefined || options.label.length === 0 || options.skipLabelCheck) return
    throw new WireError('bad-label', 'a stream has no label')
  }
  await reader.byte()
  const length = await reader.byte()
  assertLabel(await reader.take(length), options.label, options.skipLabelCheck)
}

async function decryptFrame(reader: StreamReader, options: OpenStreamOptions): Promise<Uint8Array> {
  if (options.keys.length === 0) {
    throw new WireError('encrypted-unexpected', 'the stream is encrypted and no key is configured')
  }
  const lengthBytes = await reader.take(4)
  const length = new DataView(lengthBytes.buffer, lengthBytes.byteOffset).getUint32(0)
  if (length > MAX_FRAME_BYTES) {
    throw new WireError('too-large', `an encrypted frame of ${length} bytes is refused`)
  }
  const associated = Buffer.concat([frameHeader(length), options.label])
  return decrypt(options.keys, await reader.take(length), associated, options.replays)
}
