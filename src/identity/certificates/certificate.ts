import { X509Certificate } from 'node:crypto'
import { type Ip, parseIp } from '../../net/ip.ts'
import { keyDigest } from './keys.ts'

/** What a member's certificate says. */
export interface Certificate {
  readonly x509: X509Certificate
  /** The member's name, from the common name. */
  readonly name: string
  /** The digest of its key: two hosts of one name have two identities. */
  readonly identity: string
  /** Where the others reach it, gossip and VXLAN alike. */
  readonly address: Ip
  /** Milliseconds since the Unix epoch, like `notAfter`. */
  readonly notBefore: number
  readonly notAfter: number
}

/** The authority's certificate, and a member's. A real one has some 400 bytes in DER. */
export const maxCertificateCharacters = 4096

/** The X.509 certificate in that PEM text; null when there is none or its key is not Ed25519. */
export function readX509(pem: string): X509Certificate | null {
  return pem.length > maxCertificateCharacters ? null : parsed(pem)
}

/** The member's certificate in these bytes of DER; null for anything else. */
export function certificateInDer(der: Uint8Array): Certificate | null {
  const x509 = parsed(der)
  return x509 === null ? null : certificateOf(x509)
}

function parsed(encoded: string | Uint8Array): X509Certificate | null {
  try {
    const x509 = new X509Certificate(encoded)
    return x509.publicKey.asymmetricKeyType === 'ed25519' ? x509 : null
  } catch {
    return null
  }
}

/** The member's certificate in that PEM text; null for anything else. */
export function readCertificate(pem: string): Certificate | null {
  const x509 = readX509(pem)
  return x509 === null ? null : certificateOf(x509)
}

/** What that X.509 certificate says as a member's; null when it is no member's. */
export function certificateOf(x509: X509Certificate): Certificate | null {
  const name = /^CN=([a-z0-9][\w.-]{0,62})$/i.exec(x509.subject)?.[1]
  const place = /^IP Address:([0-9a-f.:]+)$/i.exec(x509.subjectAltName ?? '')?.[1]
  const address = place === undefined ? null : parseIp(place.toLowerCase())
  if (name === undefined || address === null || x509.ca) return null
  return {
    x509,
    name,
    identity: keyDigest(x509.publicKey),
    address,
    notBefore: x509.validFromDate.getTime(),
    notAfter: x509.validToDate.getTime(),
  }
}
