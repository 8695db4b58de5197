/**
 * AES-GCM as memberlist uses it: `version | nonce 12 | ciphertext | tag 16`. Version 1 encrypts the
 * message as it is; version 0, written by speakers of protocol 1, pads it to 16 bytes first (PKCS
 * 7).
 */
import { createCipheriv, createDecipheriv, type CipherGCMTypes, type KeyObject } from 'node:crypto'
import type { ReplayFilter } from './replay-filter.ts'
import { WireError } from '../wire-error.ts'

export type EncryptionVersion = 0 | 1

const NONCE_BYTES = 12
const TAG_BYTES = 16
const BLOCK_BYTES = 16

/** Bytes that encryption adds at most. */
export function encryptionOverhead(version: EncryptionVersion): number {
  const fixed = 1 + NONCE_BYTES + TAG_BYTES
  return version === 0 ? fixed + BLOCK_BYTES : fixed
}

/** Exactly how long `plainLength` bytes become. */
export function encryptedLength(version: EncryptionVersion, plainLength: number): number {
  const padding = version === 0 ? BLOCK_BYTES - (plainLength % BLOCK_BYTES) : 0
  return 1 + NONCE_BYTES + plainLength + padding + TAG_BYTES
}

/**
 * Encrypts under `key`, binding `associated`. `nonce` is 12 bytes, never used twice with one key.
 */
export function encrypt(
  key: KeyObject,
  version: EncryptionVersion,
  nonce: Uint8Array,
  plain: Uint8Array,
  associated: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv(algorithm(key), key, nonce)
  cipher.setAAD(associated)
  const padded = version === 0 ? pad(plain) : plain
  const text = cipher.update(padded)
  cipher.final()
  return Buffer.concat([Uint8Array.of(version), nonce, text, cipher.getAuthTag()])
}

/**
 * Opens a blob with the first of `keys` that fits, once if there is a filter. Throws `wrong-key`,
 * `replayed`, `truncated` or `malformed`.
 */
export function decrypt(
  keys: readonly KeyObject[],
  blob: Uint8Array,
  associated: Uint8Array,
  replays?: ReplayFilter,
): Uint8Array {
  const version = blob[0]
  if (version !== 0 && version !== 1) {
    throw new WireError('malformed', `encryption version ${version ?? 'none'} is not known`)
  }
  if (blob.length < 1 + NONCE_BYTES + TAG_BYTES) {
    throw new WireError('truncated', 'an encrypted message is shorter than its frame')
  }
  const nonce = blob.subarray(1, 1 + NONCE_BYTES)
  if (replays?.has(nonce) === true) {
    throw new WireError('replayed', 'an encrypted message came a second time')
  }
  for (const key of keys) {
    const plain = open(key, nonce, blob, associated)
    if (plain === undefined) continue
    replays?.add(nonce)
    return version === 0 ? unpad(plain) : plain
  }
  throw new WireError('wrong-key', 'no key of the ring opens this message')
}

function open(
  key: KeyObject,
  nonce: Uint8Array,
  blob: Uint8Array,
  associated: Uint8Array,
): Uint8Array | undefined {
  const decipher = createDecipheriv(algorithm(key), key, nonce)
  decipher.setAAD(associated)
  decipher.setAuthTag(blob.subarray(blob.length - TAG_BYTES))
  const plain = decipher.update(blob.subarray(1 + NONCE_BYTES, blob.length - TAG_BYTES))
  try {
    decipher.final()
  } catch {
    return undefined
  }
  return plain
}

function algorithm(key: KeyObject): CipherGCMTypes {
  return `aes-${8 * (key.symmetricKeySize ?? 0)}-gcm` as CipherGCMTypes
}

function pad(plain: Uint8Array): Uint8Array {
  const count = BLOCK_BYTES - (plain.length % BLOCK_BYTES)
  const out = new Uint8Array(plain.length + count).fill(count)
  out.set(plain)
  return out
}

function unpad(padded: Uint8Array): Uint8Array {
  const count = padded.at(-1)
  if (count === undefined || count < 1 || count > BLOCK_BYTES || count > padded.length) {
    throw new WireError('malformed', 'the padding of an encrypted message is wrong')
  }
  return padded.subarray(0, padded.length - count)
}
