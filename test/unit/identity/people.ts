/** A cluster's authority and members with certificates, for tests. */
import { type Random, seededRandom } from '../../../src/base/random.ts'
import {
  type Certificate,
  readCertificate,
  readX509,
} from '../../../src/identity/certificates/certificate.ts'
import { issueAuthority, issueMember } from '../../../src/identity/certificates/issue.ts'
import { type KeyPair, generateKeyPair } from '../../../src/identity/certificates/keys.ts'
import type { Ip } from '../../../src/net/ip.ts'

/** 2026-01-01. */
export const startMs = 1_767_225_600_000

export interface TestAuthority {
  readonly key: KeyPair
  readonly pem: string
  readonly issuer: string
  readonly random: Random
}

export function testAuthority(seed = 1, now = startMs): TestAuthority {
  const random = seededRandom(seed)
  const key = generateKeyPair()
  const pem = issueAuthority(key, now, random)
  return { key, pem, issuer: readX509(pem)!.subject.slice('CN='.length), random }
}

export interface TestMember {
  readonly key: KeyPair
  readonly pem: string
  readonly certificate: Certificate
}

export function testMember(
  authority: TestAuthority,
  name: string,
  address: string,
  { now = startMs, key = generateKeyPair() }: { now?: number; key?: KeyPair } = {},
): TestMember {
  const subject = { name, address: address as Ip, publicKey: key.publicKey }
  const pem = issueMember(authority, subject, now, authority.random)
  return { key, pem, certificate: readCertificate(pem)! }
}
