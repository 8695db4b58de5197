import {
  type KeyObject,
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
} from 'node:crypto'

/** An Ed25519 key pair (RFC 8032): short signatures, no randomness needed to sign. */
export interface KeyPair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** A public key with its algorithm identifier in DER (RFC 8410 section 4). */
const publicKeyBytes = 44

export function generateKeyPair(): KeyPair {
  return generateKeyPairSync('ed25519')
}

/** The private key as PEM (PKCS #8). */
export function pemOfKey({ privateKey }: KeyPair): string {
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** Reads what {@link pemOfKey} wrote; null for anything else. */
export function keyPairFromPem(pem: string): KeyPair | null {
  try {
    const privateKey = createPrivateKey(pem)
    if (privateKey.asymmetricKeyType !== 'ed25519') return null
    return { privateKey, publicKey: createPublicKey(privateKey) }
  } catch {
    return null
  }
}

/** The SubjectPublicKeyInfo in DER, 44 bytes. */
export function encodePublicKey(key: KeyObject): Buffer {
  return key.export({ type: 'spki', format: 'der' })
}

/** Reads what {@link encodePublicKey} wrote; null for anything else. */
export function decodePublicKey(der: Uint8Array): KeyObject | null {
  if (der.length !== publicKeyBytes) return null
  try {
    const key = createPublicKey({ key: Buffer.from(der), type: 'spki', format: 'der' })
    return key.asymmetricKeyType === 'ed25519' ? key : null
  } catch {
    return null
  }
}

/**
 * SHA-256 of the SubjectPublicKeyInfo in hexadecimal: the digest that RFC 7469 section 2.4 pins. Of
 * a member's key it is the host identity, of the authority's key it stands in the join token.
 */
export function keyDigest(key: KeyObject): string {
  let digest = digests.get(key)
  if (digest === undefined) {
    digest = createHash('sha256').update(encodePublicKey(key)).digest('hex')
    digests.set(key, digest)
  }
  return digest
}

/** Each status has the digest of the same key, and its encoding takes 0.1 ms. */
const digests = new WeakMap<KeyObject, string>()

/**
 * Signs for one purpose: a signature made for one is worth nothing for another, nor in TLS, whose
 * signed content begins with 64 spaces (RFC 8446 section 4.4.3).
 */
export function signFor(purpose: string, bytes: Uint8Array, key: KeyObject): Uint8Array {
  return sign(null, withPurpose(purpose, bytes), key)
}

export function isSignedFor(
  purpose: string,
  bytes: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): boolean {
  return verify(null, withPurpose(purpose, bytes), key, signature)
}

function withPurpose(purpose: string, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`ts-overlay ${purpose}\0`), bytes])
}
