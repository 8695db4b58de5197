import { keyDigest } from '../../identity/certificates/keys.ts'
import type { Standing } from '../../identity/member-identity.ts'

/** For `/status`. */
export interface AdmissionStatus {
  /** The first digits of the digest that a join token of this cluster has. */
  readonly cluster: string
  /** When this host's certificate expires. */
  readonly certificateUntil: string
  /** The epoch of the gossip key that this host seals with. */
  readonly epoch: number
  readonly evicted: number
}

export function statusOf({ authority, certificate, keys, evicted }: Standing): AdmissionStatus {
  return {
    cluster: keyDigest(authority.publicKey).slice(0, 16),
    certificateUntil: new Date(certificate.notAfter).toISOString(),
    epoch: keys.current,
    evicted: evicted.size,
  }
}
