/**
 * Signed heads of origin logs. A head says how far a log goes and what it holds: its origin signs
 * it, and each member can check it, through however many others it came. One signature covers all
 * versions up to the head, so an origin signs once for what it publishes together.
 */
import type { KeyObject } from 'node:crypto'
import { signFor, verifySoon } from './keys.ts'

/** How far one origin's log goes. */
export interface Head {
  readonly origin: string
  readonly epoch: number
  /** The highest version. */
  readonly version: number
  /** SHA-256 over what the log holds at that version, 32 bytes. */
  readonly digest: Uint8Array
}

const purpose = 'head 1'

/** The signature, 64 bytes; takes about 0.1 ms. */
export function signHead(head: Head, key: KeyObject): Uint8Array {
  return signFor(purpose, encodeHead(head), key)
}

/** Whether the owner of the key signed this head. Checked on the thread pool, in about 0.2 ms. */
export function verifyHead(head: Head, key: KeyObject, signature: Uint8Array): Promise<boolean> {
  return verifySoon(purpose, encodeHead(head), key, signature)
}

/** Fixed lengths but for the name, which comes last: no two heads have one form. */
function encodeHead({ origin, epoch, version, digest }: Head): Buffer {
  const numbers = Buffer.alloc(16)
  numbers.writeBigUInt64BE(BigInt(epoch), 0)
  numbers.writeBigUInt64BE(BigInt(version), 8)
  return Buffer.concat([numbers, digest.subarray(0, 32), Buffer.from(origin)])
}
