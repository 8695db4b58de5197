/**
 * Makes certificates (RFC 5280, with Ed25519 by RFC 8410). Imports the encoder, which takes some
 * tens of milliseconds to load: import this file where a certificate is made, not before.
 */
import { type KeyObject, sign } from 'node:crypto'
import { AsnConvert, OctetString } from '@peculiar/asn1-schema'
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  Extension,
  Extensions,
  GeneralName,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509'
import type { Random } from '../../base/random.ts'
import type { Ip } from '../../net/ip.ts'
import { certificateValidityMs, maxClockSkewMs } from './rules.ts'
import { type KeyPair, encodePublicKey } from './keys.ts'

/** The object identifiers that are needed here. */
const oid = {
  ed25519: '1.3.101.112',
  commonName: '2.5.4.3',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  subjectAlternativeName: '2.5.29.17',
} as const

/** The authority outlives every host: nothing renews it but a new cluster. */
const authorityValidityMs = 20 * 365 * 86_400_000

/** RFC 5280 section 4.1.2.2 has 20 bytes at most, and at least 64 random bits are usual. */
const serialBytes = 16

/** Whom a member's certificate is for. */
interface Subject {
  readonly name: string
  readonly address: Ip
  readonly publicKey: KeyObject
}

/** A certificate authority of a new cluster: its certificate in PEM, by its own key. */
export function issueAuthority(key: KeyPair, now: number, random: Random): string {
  const digits = Buffer.from(random.bytes(4)).toString('hex')
  return issue(key, `ts-overlay ${digits}`, random, {
    subject: `ts-overlay ${digits}`,
    publicKey: key.publicKey,
    notBefore: now - maxClockSkewMs,
    notAfter: now + authorityValidityMs,
    extensions: [
      extension(oid.basicConstraints, new BasicConstraints({ cA: true, pathLenConstraint: 0 })),
      extension(oid.keyUsage, new KeyUsage(KeyUsageFlags.keyCertSign)),
    ],
  })
}

/** A member's certificate in PEM. `issuer` is the authority's common name. */
export function issueMember(
  authority: { readonly key: KeyPair; readonly issuer: string },
  { name, address, publicKey }: Subject,
  now: number,
  random: Random,
): string {
  const alternative = new SubjectAlternativeName([new GeneralName({ iPAddress: address })])
  return issue(authority.key, authority.issuer, random, {
    subject: name,
    publicKey,
    notBefore: now - maxClockSkewMs,
    notAfter: now + certificateValidityMs,
    extensions: [
      extension(oid.basicConstraints, new BasicConstraints({ cA: false })),
      extension(oid.keyUsage, new KeyUsage(KeyUsageFlags.digitalSignature)),
      extension(oid.subjectAlternativeName, alternative, false),
    ],
  })
}

interface Content {
  readonly subject: string
  readonly publicKey: KeyObject
  readonly notBefore: number
  readonly notAfter: number
  readonly extensions: readonly Extension[]
}

function issue(key: KeyPair, issuer: string, random: Random, content: Content): string {
  const algorithm = new AlgorithmIdentifier({ algorithm: oid.ed25519 })
  const serial = random.bytes(serialBytes)
  // Positive, and without a leading zero byte.
  serial[0] = (serial[0]! & 0x7f) | 0x40
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: new Uint8Array(serial).buffer,
    signature: algorithm,
    issuer: commonName(issuer),
    validity: new Validity({
      notBefore: new Date(content.notBefore),
      notAfter: new Date(content.notAfter),
    }),
    subject: commonName(content.subject),
    subjectPublicKeyInfo: AsnConvert.parse(
      encodePublicKey(content.publicKey),
      SubjectPublicKeyInfo,
    ),
    extensions: new Extensions([...content.extensions]),
  })
  const signature = sign(null, Buffer.from(AsnConvert.serialize(tbsCertificate)), key.privateKey)
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: algorithm,
    signatureValue: new Uint8Array(signature).buffer,
  })
  return pemOf(Buffer.from(AsnConvert.serialize(certificate)))
}

function commonName(text: string): Name {
  const value = new AttributeValue({ utf8String: text })
  return new Name([
    new RelativeDistinguishedName([new AttributeTypeAndValue({ type: oid.commonName, value })]),
  ])
}

function extension(extnID: string, value: unknown, critical = true): Extension {
  return new Extension({
    extnID,
    critical,
    extnValue: new OctetString(AsnConvert.serialize(value)),
  })
}

function pemOf(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
}
