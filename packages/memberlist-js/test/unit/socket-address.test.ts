import { expect } from 'chai'
import fc from 'fast-check'
import {
  addressToBytes,
  bytesToAddress,
  formatAddress,
  parseSeed,
  unmapped,
} from '../../src/socket-address.ts'
import { fromHex, toHex } from '../support/vectors.ts'

describe('addresses', () => {
  const table: readonly [text: string, hex: string][] = [
    ['127.0.0.1', '7f000001'],
    ['::', '00'.repeat(16)],
    ['::1', `${'00'.repeat(15)}01`],
    ['2001:db8::1', `20010db8${'00'.repeat(11)}01`],
    ['2001:db8:0:0:1::1', '20010db8000000000001000000000001'],
    ['::ffff:10.0.0.1', `${'00'.repeat(10)}ffff0a000001`],
    ['fe80::a', `fe80${'00'.repeat(13)}0a`],
  ]
  for (const [text, hex] of table) {
    it(`${text} is ${hex}`, () => expect(toHex(addressToBytes(text))).to.equal(hex))
  }

  it('4 and 16 bytes survive being text, and keep their length', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc
        .array(fc.constantFrom(0, 1, 255), { minLength: 16, maxLength: 16 })
        .map((values) => Uint8Array.from(values)),
    )
    fc.assert(
      fc.property(bytes, (wire) => toHex(addressToBytes(bytesToAddress(wire)!)) === toHex(wire)),
      { numRuns: 2000 },
    )
  })

  it('other lengths and other texts are none', () => {
    expect(bytesToAddress(fromHex('7f0000'))).to.equal(undefined)
    expect(() => addressToBytes('example.org')).to.throw('"example.org" is not an IP address')
  })

  it('a mapped address is dialled as IPv4', () => {
    expect(unmapped('::ffff:10.0.0.1')).to.equal('10.0.0.1')
    expect(unmapped('::ffff:1')).to.equal('::ffff:1')
  })
})

describe('seeds', () => {
  const table: readonly [text: string, host: string, port: number][] = [
    ['10.0.0.1', '10.0.0.1', 7946],
    ['10.0.0.1:80', '10.0.0.1', 80],
    ['host.example', 'host.example', 7946],
    ['host.example:80', 'host.example', 80],
    ['[2001:db8::1]:80', '2001:db8::1', 80],
    ['[2001:db8::1]', '2001:db8::1', 7946],
    ['2001:db8::1', '2001:db8::1', 7946],
    ['alpha/10.0.0.1:80', '10.0.0.1', 80],
  ]
  for (const [text, host, port] of table) {
    it(`reads ${text}`, () => expect(parseSeed(text, 7946)).to.deep.equal({ host, port }))
  }

  for (const text of ['', 'a:0', 'a:65536', 'a:b', '[host]:80', '1:2:3:4', 'a b', '[::1']) {
    it(`refuses "${text}"`, () => {
      expect(() => parseSeed(text, 7946))
        .to.throw()
        .with.property('code', 'invalid-address')
    })
  }

  it('are written as they are read', () => {
    expect(formatAddress({ address: '::1', port: 1 })).to.equal('[::1]:1')
    expect(formatAddress({ address: '10.0.0.1', port: 1 })).to.equal('10.0.0.1:1')
  })
})
