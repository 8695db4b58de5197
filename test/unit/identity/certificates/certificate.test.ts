import { expect } from 'chai'
import fc from 'fast-check'
import { readCertificate, readX509 } from '../../../../src/identity/certificates/certificate.ts'
import {
  type CertificateCheck,
  certificateFault,
  certificateValidityMs,
  durationText,
  clockFault,
  isRenewalDue,
  maxClockSkewMs,
} from '../../../../src/identity/certificates/rules.ts'
import {
  generateKeyPair,
  keyDigest,
  keyPairFromPem,
  pemOfKey,
} from '../../../../src/identity/certificates/keys.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import { startMs, testAuthority, testMember } from '../people.ts'

const hourMs = 3_600_000

describe('identity/certificate', () => {
  const authority = testAuthority()
  const check: CertificateCheck = {
    authority: readX509(authority.pem)!,
    now: startMs,
    isEvicted: () => false,
  }

  it('says name, identity, address of both families, and times', () => {
    for (const address of ['192.0.2.1', '2001:db8::1']) {
      const { certificate, key } = testMember(authority, 'rack4-host7', address)
      expect(certificate.name).to.equal('rack4-host7')
      expect(certificate.address).to.equal(address)
      expect(certificate.identity).to.equal(keyDigest(key.publicKey))
      expect(certificate.notBefore).to.equal(startMs - maxClockSkewMs)
      expect(certificate.notAfter).to.equal(startMs + certificateValidityMs)
      expect(certificateFault(certificate, check)).to.equal(null)
    }
  })

  it("tells another cluster's, and one that an authority of the same name signed", () => {
    const { certificate } = testMember(testAuthority(2), 'host1', '192.0.2.1')
    expect(certificateFault(certificate, check)).to.match(/host1.* not of this cluster/)
    const forged = { ...authority, key: generateKeyPair() }
    const { certificate: other } = testMember(forged, 'host1', '192.0.2.1')
    expect(other.x509.issuer).to.equal(check.authority.subject)
    expect(certificateFault(other, check)).to.match(/not of this cluster/)
  })

  it('takes neither the authority nor a member for the other', () => {
    expect(readCertificate(authority.pem)).to.equal(null)
    const member = testMember(authority, 'host1', '192.0.2.1')
    const { certificate } = testMember(
      { ...authority, key: member.key, issuer: 'host1' },
      'host2',
      '192.0.2.2',
    )
    expect(certificateFault(certificate, check)).to.match(/not of this cluster/)
  })

  it('says by how much a clock is off', () => {
    const { certificate } = testMember(authority, 'host2', '192.0.2.2')
    const early = { ...check, now: startMs - 4 * hourMs }
    expect(certificateFault(certificate, early)).to.equal(null)
    expect(clockFault(certificate, early)).to.match(
      /certificate of host2 .* not yet valid: is this host's clock 3 h behind\?/,
    )
    const late = { ...check, now: startMs + certificateValidityMs + 5 * hourMs }
    expect(certificateFault(certificate, late)).to.match(/host2 .* expired 5 h ago/)
    const skewed = { ...check, now: startMs - maxClockSkewMs }
    expect(clockFault(certificate, skewed)).to.equal(null)
  })

  it('refuses who was evicted, and another name or address than expected', () => {
    const { certificate } = testMember(authority, 'host2', '192.0.2.2')
    const isEvicted = (identity: string): boolean => identity === certificate.identity
    expect(certificateFault(certificate, { ...check, isEvicted })).to.match(/host2 .*evicted/)
    const address = '192.0.2.9' as Ip
    expect(certificateFault(certificate, { ...check, address })).to.match(/came from 192\.0\.2\.9/)
    expect(certificateFault(certificate, { ...check, name: 'host3' })).to.match(/host3/)
  })

  it('is renewed after two thirds of its life', () => {
    const { certificate } = testMember(authority, 'host2', '192.0.2.2')
    expect(isRenewalDue(certificate, startMs + 0.6 * certificateValidityMs)).to.equal(false)
    expect(isRenewalDue(certificate, startMs + 0.7 * certificateValidityMs)).to.equal(true)
    expect(isRenewalDue(certificate, startMs - 2 * hourMs)).to.equal(true)
  })

  it('is refused with any byte flipped, and never breaks the reader', () => {
    const { certificate } = testMember(authority, 'host2', '192.0.2.2')
    const der = certificate.x509.raw
    const flips = fc.tuple(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }))
    fc.assert(
      fc.property(flips, ([at, mask]) => {
        const bytes = Buffer.from(der)
        bytes[at]! ^= mask
        const text = bytes.toString('base64')
        const pem = `-----BEGIN CERTIFICATE-----\n${text}\n-----END CERTIFICATE-----\n`
        const read = readCertificate(pem)
        if (read !== null) expect(certificateFault(read, check)).to.be.a('string')
      }),
      { numRuns: 500 },
    )
  })

  it('comes back from its key in PEM, and from nothing else', () => {
    const key = generateKeyPair()
    const copy = keyPairFromPem(pemOfKey(key))
    expect(keyDigest(copy!.publicKey)).to.equal(keyDigest(key.publicKey))
    expect(keyPairFromPem('nothing')).to.equal(null)
    expect(keyPairFromPem(authority.pem)).to.equal(null)
    expect(readX509('x'.repeat(1 << 20))).to.equal(null)
  })

  it('writes durations for people', () => {
    const texts = [500, 90_000, 3 * hourMs, 80 * hourMs].map(durationText)
    expect(texts).to.deep.equal(['1 s', '90 s', '3 h', '3 d'])
  })
})
