/**
 * The certificates of members that were met or shown, and what is signed and checked with them. A
 * signature counts while its member's certificate does.
 */
import type { X509Certificate } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { type Certificate, certificateInDer } from './certificate.ts'
import { isSignedFor, signFor } from './keys.ts'
import { certificateFault } from './rules.ts'

const purpose = 'origin log'
/** A cluster of 1,000 has fewer. */
const maxKnown = 8192

/** What this member is, and what certificates are held against. */
interface Signer {
  readonly key: KeyObject
  readonly certificate: Certificate
  readonly authority: X509Certificate
  readonly isEvicted: (identity: string) => boolean
}

export class MemberSignatures {
  readonly #signer: () => Signer | null
  readonly #wall: () => number
  readonly #known = new Map<string, Certificate>()
  #last: {
    readonly text: Uint8Array
    readonly key: KeyObject
    readonly signature: Uint8Array
  } | null = null

  /** `signer` is null while this host is no member; `wall` is in ms since the Unix epoch. */
  constructor(signer: () => Signer | null, wall: () => number) {
    this.#signer = signer
    this.#wall = wall
  }

  /** Signs for this member; 64 zeros while it is none. */
  sign(text: Uint8Array): Uint8Array {
    const key = this.#signer()?.key
    if (key === undefined) return new Uint8Array(64)
    if (this.#last?.key === key && Buffer.compare(this.#last.text, text) === 0)
      return this.#last.signature
    const signature = signFor(purpose, text, key)
    this.#last = { text, key, signature }
    return signature
  }

  /** Whether that member signed it; null when its certificate is not known or does not count. */
  verify(member: string, text: Uint8Array, signature: Uint8Array): boolean | null {
    const certificate = this.#known.get(member)
    if (certificate === undefined || this.#signer()?.isEvicted(certificate.identity) !== false)
      return null
    return isSignedFor(purpose, text, certificate.x509.publicKey, signature)
  }

  /** A member's certificate in DER, to be shown to others; null when it is not known. */
  certificate(member: string): Uint8Array | null {
    const own = this.#signer()?.certificate
    return (own?.name === member ? own : this.#known.get(member))?.x509.raw ?? null
  }

  /** A member was met whose certificate counts. */
  met(certificate: Certificate): void {
    if (this.#known.size >= maxKnown) this.#known.clear()
    this.#known.set(certificate.name, certificate)
  }

  /**
   * Takes over a certificate that was passed on. Returns whose it is; null when it does not count,
   * or when the member is known by a newer one, whose key another host of its name had.
   */
  learn(der: Uint8Array): string | null {
    const signer = this.#signer()
    const certificate = certificateInDer(der)
    if (signer === null || certificate === null) return null
    const known = this.#known.get(certificate.name)
    if (known !== undefined && known.notBefore > certificate.notBefore) return null
    if (certificateFault(certificate, { ...signer, now: this.#wall() }) !== null) return null
    this.met(certificate)
    return certificate.name
  }
}
