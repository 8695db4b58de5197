/**
 * X25519 (RFC 7748) with the Ed25519 keys of certificates, so that any two members share a secret
 * that no third one has. The map between the curves is that of RFC 7748 section 4.1; that one key
 * may sign and agree is shown by Thormarker, "On using the same key pair for Ed25519 and an X25519
 * based KEM" (2021).
 */
import { type KeyObject, createHash, createPrivateKey, createPublicKey } from 'node:crypto'
import { diffieHellman } from 'node:crypto'
import { encodePublicKey } from './keys.ts'

const rawBytes = 32
/** What stands before the 32 bytes of an X25519 key in DER (RFC 8410). */
const privatePrefix = Buffer.from('302e020100300506032b656e04220420', 'hex')
const publicPrefix = Buffer.from('302a300506032b656e032100', 'hex')

const prime = 2n ** 255n - 19n

/** The X25519 key of an Ed25519 private key: the scalar of RFC 8032 section 5.1.5. */
export function agreementKey(key: KeyObject): KeyObject {
  const seed = key.export({ type: 'pkcs8', format: 'der' }).subarray(-rawBytes)
  const scalar = createHash('sha512').update(seed).digest().subarray(0, rawBytes)
  const der = Buffer.concat([privatePrefix, scalar])
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
}

/**
 * The secret of two members, 32 bytes: `own` is of {@link agreementKey}, `other` an Ed25519 public
 * key. Null for a key of small order, which agrees on nothing. Takes some 0.2 ms.
 */
export function sharedSecret(own: KeyObject, other: KeyObject): Buffer | null {
  const key = Buffer.concat([publicPrefix, montgomery(encodePublicKey(other).subarray(-rawBytes))])
  try {
    const publicKey = createPublicKey({ key, format: 'der', type: 'spki' })
    return diffieHellman({ privateKey: own, publicKey })
  } catch {
    return null
  }
}

/** The coordinate u = (1 + y) / (1 - y), little-endian, of a point that is encoded by y. */
function montgomery(edwards: Uint8Array): Buffer {
  const bytes = Buffer.from(edwards)
  bytes[rawBytes - 1]! &= 0x7f
  const y = BigInt(`0x${bytes.reverse().toString('hex')}`) % prime
  const u = ((1n + y) * inverse((prime + 1n - y) % prime)) % prime
  return Buffer.from(u.toString(16).padStart(2 * rawBytes, '0'), 'hex').reverse()
}

/** By the extended Euclidean algorithm; 0 for 0. */
function inverse(value: bigint): bigint {
  let [r, next, t, nextT] = [prime, value, 0n, 1n]
  while (next !== 0n) {
    const quotient = r / next
    ;[r, next] = [next, r - quotient * next]
    ;[t, nextT] = [nextT, t - quotient * nextT]
  }
  return ((t % prime) + prime) % prime
}
