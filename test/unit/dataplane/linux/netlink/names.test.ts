import { expect } from 'chai'
import fc from 'fast-check'
import {
  aliasOf,
  checkEndpointId,
  checkOverlayId,
  deviceMac,
  endpointAliasOf,
  endpointOfAlias,
  isMarked,
  linkGroup,
  overlayOfAlias,
  pinName,
  portNameOf,
  sourceNameOf,
} from '../../../../../src/dataplane/linux/netlink/names.ts'
import { isMulticastMac } from '../../../../../src/net/mac.ts'

const passes = (check: () => void): boolean => {
  try {
    check()
    return true
  } catch {
    return false
  }
}
const overlayId = fc
  .string({ minLength: 1, maxLength: 160, unit: 'grapheme' })
  .filter((id) => passes(() => checkOverlayId(id)))
const endpointId = fc
  .string({ minLength: 1, maxLength: 64, unit: 'grapheme-ascii' })
  .filter((id) => passes(() => checkEndpointId(id)))

describe('names of links', () => {
  it('fit the kernel, for any ids that are let through', () => {
    fc.assert(
      fc.property(overlayId, endpointId, (overlay, endpoint) => {
        const names = [sourceNameOf(overlay, endpoint), portNameOf(overlay, endpoint)]
        for (const name of names) expect(name).to.match(/^tso[0-9a-f]{11}[hb]$/)
        expect(Buffer.byteLength(endpointAliasOf(overlay, endpoint))).to.be.lessThan(256)
        expect(pinName(overlay)).to.match(/^[0-9a-f]{32}$/)
        expect(isMulticastMac(deviceMac(overlay))).to.equal(false)
      }),
    )
  })

  it('lead back to the ids', () => {
    fc.assert(
      fc.property(overlayId, endpointId, (overlay, endpoint) => {
        expect(overlayOfAlias(aliasOf(overlay))).to.equal(overlay)
        const alias = endpointAliasOf(overlay, endpoint)
        expect(overlayOfAlias(alias)).to.equal(overlay)
        expect(endpointOfAlias(alias, overlay)).to.equal(endpoint)
        expect(endpointOfAlias(aliasOf(overlay), overlay)).to.equal(null)
        expect(endpointOfAlias(alias, `${overlay}x`)).to.equal(null)
      }),
    )
  })

  it('differ where the ids do', () => {
    const names = ['a', 'b'].flatMap((overlay) =>
      ['1', '2'].flatMap((endpoint) => [
        sourceNameOf(overlay, endpoint),
        portNameOf(overlay, endpoint),
      ]),
    )
    expect(new Set(names).size).to.equal(names.length)
  })

  it('tell ours from others by alias, and by group only while there is no alias', () => {
    const ours = [
      { alias: aliasOf('o'), group: 0 },
      { alias: endpointAliasOf('o', 'e'), group: 0 },
      { alias: '', group: linkGroup },
    ]
    for (const link of ours) expect(isMarked(link, 'o'), JSON.stringify(link)).to.equal(true)
    const others = [
      { alias: '', group: 0 },
      { alias: 'uplink', group: linkGroup },
      { alias: aliasOf('other'), group: linkGroup },
      { alias: aliasOf('o2'), group: linkGroup },
    ]
    for (const link of others) expect(isMarked(link, 'o'), JSON.stringify(link)).to.equal(false)
    expect(overlayOfAlias('uplink')).to.equal(null)
  })

  it('are refused for ids that an alias cannot hold', () => {
    for (const id of ['', 'x'.repeat(161), 'ü'.repeat(81), 'a\0b', 'a endpoint:b'])
      expect(() => checkOverlayId(id), id).to.throw('overlay id')
    for (const id of ['', 'x'.repeat(65), 'a b', 'a\0'])
      expect(() => checkEndpointId(id), id).to.throw('endpoint id')
  })
})
