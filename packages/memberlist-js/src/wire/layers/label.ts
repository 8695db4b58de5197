import { MessageType } from '../messages.ts'
import { WireError } from '../wire-error.ts'

/** The length of a label is one byte. */
export const MAX_LABEL_BYTES = 255

/** Bytes that a label of `length` bytes adds to a packet. */
export function labelOverhead(length: number): number {
  return length === 0 ? 0 : 2 + length
}

/** Puts the label header first; an empty label adds nothing. */
export function addLabel(packet: Uint8Array, label: Uint8Array): Uint8Array {
  return label.length === 0 ? packet : Buffer.concat([labelHeader(label), packet])
}

/** `f4 | length | label`. */
export function labelHeader(label: Uint8Array): Uint8Array {
  return label.length === 0 ? label : Uint8Array.of(MessageType.label, label.length, ...label)
}

/**
 * Checks and strips the label of a packet. With `skipCheck` no header may be present (something in
 * between has removed it). Throws `bad-label`.
 */
export function stripLabel(packet: Uint8Array, label: Uint8Array, skipCheck: boolean): Uint8Array {
  if (packet[0] !== MessageType.label) {
    if (label.length > 0 && !skipCheck) throw wrongLabel('a packet has no label')
    return packet
  }
  const length = packet[1]
  if (length === undefined || packet.length < 2 + length) {
    throw new WireError('truncated', 'a packet ends inside its label')
  }
  assertLabel(packet.subarray(2, 2 + length), label, skipCheck)
  return packet.subarray(2 + length)
}

/** Compares a label that was read with ours. Throws `bad-label`. */
export function assertLabel(found: Uint8Array, label: Uint8Array, skipCheck: boolean): void {
  if (skipCheck) throw wrongLabel('a label came although it should have been removed on the way')
  if (found.length === 0) throw wrongLabel('a label header has no label')
  if (Buffer.compare(found, label) !== 0) throw wrongLabel('the label is not ours')
}

function wrongLabel(message: string): WireError {
  return new WireError('bad-label', message)
}
