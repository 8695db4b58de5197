/**
 * Signatures of origin logs. The owner of a log signs its head: how far it has written, and the
 * root of the records that live as of then. So a log may be passed on by others, who can neither
 * add to it nor change or leave out what is in it: what they send has to lead to a signed head.
 */
import { ByteWriter, type Packed } from '../../base/bytes.ts'

/** How far the owner of a log has written. */
export interface SignedHead {
  readonly version: number
  /** Of the live records as of this version, 32 bytes: `Entries.root`. */
  readonly root: Packed
  /** Ed25519, 64 bytes. */
  readonly signature: Packed
  /** The owner's certificate in DER, for those that have not met it; empty when absent. */
  readonly certificate: Packed
}

export const rootBytes = 32
export const signatureBytes = 64

/** The members' keys. Without them, as in tests of gossip alone, logs are as their senders say. */
export interface LogSignatures {
  /** Signs for this member. The last text again costs nothing. */
  sign(text: Uint8Array): Uint8Array
  /** Whether that member signed it; null when its certificate is not known. */
  verify(member: string, text: Uint8Array, signature: Uint8Array): boolean | null
  /** The certificate that proves a member's signatures, DER; null when it is not known. */
  certificate(member: string): Uint8Array | null
  /** Takes over a certificate; whose it is, or null when it does not count in this cluster. */
  learn(certificate: Uint8Array): string | null
}

/** What the owner of a log signs as its head. */
export function headText(
  { oid, epoch }: { readonly oid: Packed; readonly epoch: number },
  { version, root }: Pick<SignedHead, 'version' | 'root'>,
): Uint8Array {
  return new ByteWriter().uint(1, 1).packed(oid).uint(epoch, 6).varint(version).packed(root).bytes()
}

/** What the owner of a log signs when it leaves. */
export function leaveText(oid: Packed, epoch: number): Uint8Array {
  return new ByteWriter().uint(2, 1).packed(oid).uint(epoch, 6).bytes()
}
