/**
 * Whether a certificate counts, as pure rules. Each fault says whose certificate it is and what to
 * do.
 */
import type { X509Certificate } from 'node:crypto'
import type { Ip } from '../../net/ip.ts'
import type { Certificate } from './certificate.ts'

/** Swarm's value. */
export const certificateValidityMs = 90 * 86_400_000

/** So much earlier than it is issued a certificate begins to count, as swarm's: clocks differ. */
export const maxClockSkewMs = 3_600_000

/** What a certificate is held against. */
export interface CertificateCheck {
  readonly authority: X509Certificate
  /** Milliseconds since the Unix epoch. */
  readonly now: number
  readonly isEvicted: (identity: string) => boolean
  /** The name it has to have; any when absent. */
  readonly name?: string
  /** The address it has to have; any when absent. */
  readonly address?: Ip
  /**
   * What the host that checks is called: by its name in what others read; `this host` unless given.
   */
  readonly here?: string
}

/** Why the certificate does not count; null when it does. */
export function certificateFault(certificate: Certificate, check: CertificateCheck): string | null {
  const { name, address, identity, notAfter, x509 } = certificate
  const { authority, now, here = 'this host' } = check
  const whose = `the certificate of ${name} (${address})`
  if (!x509.checkIssued(authority) || !x509.verify(authority.publicKey))
    return `${whose} is not of this cluster's authority: join it with a token of this cluster`
  if (check.isEvicted(identity))
    return `${name} (${address}) was evicted: empty its state and join it with a new token`
  if (now > notAfter) {
    const hours = durationText(now - notAfter)
    return `${whose} expired ${hours} ago, or ${here}'s clock is ahead: synchronize the clocks, or join ${name} again with a token`
  }
  if (check.name !== undefined && check.name !== name)
    return `${whose} came where that of ${check.name} was expected`
  if (check.address !== undefined && check.address !== address)
    return `${whose} came from ${check.address}: is ADVERTISE_ADDR of ${name} right?`
  return null
}

/**
 * That a certificate is not yet valid, which shows a wrong clock and nothing else: a newcomer is
 * refused for it, and of members it is told, since a leader whose clock is wrong must not end the
 * cluster. Null when it is valid.
 */
export function clockFault(
  { name, address, notBefore }: Certificate,
  { now, here = 'this host' }: Pick<CertificateCheck, 'now' | 'here'>,
): string | null {
  if (now >= notBefore) return null
  const whose = `the certificate of ${name} (${address})`
  const by = durationText(notBefore - now)
  return `${whose} is not yet valid: is ${here}'s clock ${by} behind? Synchronize the clocks`
}

/**
 * Whether it is time for a new one: after two thirds of its validity, so that a month of failures
 * is survived; or before it begins, since the clock that it was issued by was ahead.
 */
export function isRenewalDue({ notBefore, notAfter }: Certificate, now: number): boolean {
  return now < notBefore || now >= notBefore + (2 / 3) * (notAfter - notBefore)
}

/** `3 h`, `2 d`, `40 s`: rounded, at least one of its unit. */
export function durationText(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['min', 60_000],
  ] as const
  for (const [unit, size] of units) if (ms >= 2 * size) return `${Math.round(ms / size)} ${unit}`
  return `${Math.max(1, Math.round(ms / 1000))} s`
}
