import { proofBytes } from './packet-keys.ts'
import { sessionBytes } from './sealed-packet.ts'

/** What the plaintext of a control packet says. Challenges are zeros for none. */
export interface Control {
  /** The receiver's challenge, returned. */
  readonly returned: Uint8Array
  /** The sender's, to be returned. */
  readonly challenge: Uint8Array
  /** Zeros while the sender does not know the receiver's certificate. */
  readonly proof: Uint8Array
  /** The sender's, in DER. */
  readonly certificate: Uint8Array
}

const challengesBytes = 2 * sessionBytes
const certificateAt = challengesBytes + proofBytes

export function encodeControl({ returned, challenge, proof, certificate }: Control): Buffer {
  return Buffer.concat([returned, challenge, proof, certificate])
}

/** Null when it is too short to be one. */
export function decodeControl(plain: Uint8Array): Control | null {
  if (plain.length <= certificateAt) return null
  return {
    returned: plain.subarray(0, sessionBytes),
    challenge: plain.subarray(sessionBytes, challengesBytes),
    proof: plain.subarray(challengesBytes, certificateAt),
    certificate: plain.subarray(certificateAt),
  }
}
