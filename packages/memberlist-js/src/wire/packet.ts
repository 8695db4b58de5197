/**
 * A UDP packet from the outside in: label, encryption, checksum, compression, compound, messages.
 * Sending applies the layers in the reverse order.
 */
import type { KeyObject } from 'node:crypto'
import { MAX_PACKET_EXPANSION, MAX_PACKET_NESTING } from '../limits.ts'
import { addChecksum, stripChecksum } from './layers/checksum.ts'
import { decodeCompound } from './layers/compound.ts'
import { compress, decompressBody } from './layers/compress.ts'
import { decrypt, encrypt, type EncryptionVersion } from './layers/crypt.ts'
import { addLabel, stripLabel } from './layers/label.ts'
import { decodeMessage, MessageType, type Message } from './messages.ts'
import { MsgpackReader } from './msgpack/msgpack-reader.ts'
import type { ReplayFilter } from './layers/replay-filter.ts'
import { WireError } from './wire-error.ts'

/** Below this a compressed packet is rarely smaller, and the attempt costs more than it saves. */
const MIN_COMPRESSED_BYTES = 300

/** How to protect an outgoing packet. */
export interface SealOptions {
  readonly label: Uint8Array
  readonly compress: boolean
  /** Only for a receiver whose protocol range reaches 5. */
  readonly checksum: boolean
  /** Absent: the packet goes out in clear. */
  readonly encryption?: {
    readonly key: KeyObject
    readonly version: EncryptionVersion
    readonly nonce: Uint8Array
  }
}

/** Wraps one message (or compound) for the wire. */
export function sealPacket(message: Uint8Array, options: SealOptions): Uint8Array {
  let packet = message
  if (options.compress && packet.length >= MIN_COMPRESSED_BYTES) {
    const smaller = compress(packet)
    if (smaller.length < packet.length) packet = smaller
  }
  if (options.checksum) packet = addChecksum(packet)
  if (options.encryption !== undefined) {
    const { key, version, nonce } = options.encryption
    packet = encrypt(key, version, nonce, packet, options.label)
  }
  return addLabel(packet, options.label)
}

/** What an incoming packet must satisfy. */
export interface OpenOptions {
  readonly label: Uint8Array
  readonly skipLabelCheck: boolean
  /** Empty: packets are expected in clear. */
  readonly keys: readonly KeyObject[]
  /** Whether a packet that no key opens is dropped; else it is taken as clear text. */
  readonly verify: boolean
  /** What was opened already; absent: everything is opened as often as it comes. */
  readonly replays?: ReplayFilter
}

/**
 * Calls `onMessage` for each message of a packet. A bad part of a compound does not stop the
 * others: it goes to `onBad`, as does the whole packet when a layer is wrong. Never throws for bad
 * bytes.
 */
export function openPacket(
  packet: Uint8Array,
  options: OpenOptions,
  onMessage: (message: Message) => void,
  onBad: (error: WireError) => void,
): void {
  const budget = { bytes: MAX_PACKET_EXPANSION }
  const unwrap = (bytes: Uint8Array, depth: number): void => {
    const message = guarded(() => open(bytes, depth), onBad)
    if (message !== undefined) onMessage(message)
  }
  const open = (bytes: Uint8Array, depth: number): Message | undefined => {
    if (depth > MAX_PACKET_NESTING) {
      throw new WireError('too-deep', `a packet nests more than ${MAX_PACKET_NESTING} wrappers`)
    }
    if (bytes[0] === MessageType.compound) {
      const { parts, missing } = decodeCompound(bytes)
      for (const part of parts) unwrap(part, depth + 1)
      if (missing > 0)
        throw new WireError('truncated', `${missing} parts of a compound are cut off`)
      return undefined
    }
    if (bytes[0] === MessageType.compress) {
      const plain = decompressBody(new MsgpackReader(bytes, 1), budget.bytes)
      budget.bytes -= plain.length
      unwrap(plain, depth + 1)
      return undefined
    }
    return decodeMessage(bytes)
  }
  const inner = guarded(() => stripChecksum(reveal(packet, options)), onBad)
  if (inner !== undefined) unwrap(inner, 0)
}

function reveal(packet: Uint8Array, options: OpenOptions): Uint8Array {
  const bytes = stripLabel(packet, options.label, options.skipLabelCheck)
  if (options.keys.length === 0) return bytes
  try {
    return decrypt(options.keys, bytes, options.label, options.replays)
  } catch (error) {
    if (options.verify || !(error instanceof WireError) || error.code === 'replayed') throw error
    return bytes
  }
}

function guarded<T>(step: () => T, onBad: (error: WireError) => void): T | undefined {
  try {
    return step()
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    onBad(error)
    return undefined
  }
}
