import { expect } from 'chai'
import { parseIp } from '../../../src/net/ip.ts'
import {
  isMulticastMac,
  macFromBytes,
  macOfIp,
  macToBytes,
  parseMac,
} from '../../../src/net/mac.ts'
import { overlayMtu, parseMtu } from '../../../src/net/mtu.ts'
import { freeVni, parseVni, searchFrom, vniFirst, vniLast } from '../../../src/net/vni.ts'

describe('net/mac', () => {
  it('derives a unicast, locally administered address from an address', () => {
    expect(macOfIp(parseIp('10.99.0.77')!)).to.equal('02:42:0a:63:00:4d')
    const six = macOfIp(parseIp('fd00::1')!)
    expect(six).to.match(/^02:43:/)
    expect(isMulticastMac(six)).to.equal(false)
  })

  it('reads both separators and both cases into one text', () => {
    expect(parseMac('02-42-0A-63-00-4D')).to.equal('02:42:0a:63:00:4d')
    expect(macFromBytes(macToBytes(parseMac('02:42:0a:63:00:4d')!))).to.equal('02:42:0a:63:00:4d')
    for (const text of ['02:42:0a:63:00', '02:42:0a:63:00:4d:00', '2:42:0a:63:00:4d', ''])
      expect(parseMac(text), text).to.equal(null)
    expect(isMulticastMac(parseMac('01:00:5e:00:00:01')!)).to.equal(true)
  })
})

describe('net/vni', () => {
  it('is in range, and steps past those in use', () => {
    const first = freeVni(0xffff_ffff, () => false)!
    expect(first).to.be.within(vniFirst, vniLast)
    expect(freeVni(0xffff_ffff, (vni) => vni === first)).to.equal(first + 1)
    expect(freeVni(searchFrom(first), () => false)).to.equal(first)
    expect(freeVni(vniLast - vniFirst, (vni) => vni === vniLast)).to.equal(vniFirst)
    expect(freeVni(0, () => true)).to.equal(null)
  })

  it('reads 1 to 2^24 - 1', () => {
    expect(parseVni('16777215')).to.equal(16_777_215)
    for (const text of ['0', '16777216', '-1', '1e3', '01', '0x10', ''])
      expect(parseVni(text), text).to.equal(null)
  })
})

describe('net/mtu', () => {
  it('leaves 50 bytes for VXLAN over IPv4 and 70 over IPv6', () => {
    expect(overlayMtu(1500, parseIp('192.0.2.1')!)).to.equal(1450)
    expect(overlayMtu(1500, parseIp('2001:db8::1')!)).to.equal(1430)
    expect(overlayMtu(65_536, parseIp('192.0.2.1')!), 'that of a loopback link').to.equal(65_485)
  })

  it('reads what a link can have', () => {
    expect(parseMtu('1400')).to.equal(1400)
    for (const text of ['67', '65486', '1.5', '', 'big'])
      expect(parseMtu(text), text).to.equal(null)
  })
})
