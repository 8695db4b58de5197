import { expect } from 'chai'
import fc from 'fast-check'
import type { Peer } from '../../../src/net/endpoint.ts'
import { Peers, comparePeers } from '../../../src/peers/peers.ts'
import {
  arbitraryHistory,
  arbitraryPeer,
  ipOf,
  macOf,
  peer,
  survivors,
  vniOf,
  vtepOf,
} from '../../support/peer-histories.ts'

const vnis = [1, 2].map(vniOf)
const ips = [1, 2, 3, 4].map(ipOf)
const macs = [1, 2, 3].map(macOf)

describe('peers', () => {
  it('holds what a plain list of peers would, after any history', () => {
    fc.assert(
      fc.property(arbitraryHistory, (history) => {
        const table = new Peers()
        for (const transition of history) table.apply([transition])
        const naive = survivors(history)
        for (const vni of vnis) {
          const here = naive.filter((p) => p.vni === vni)
          expect(table.of(vni)).to.have.deep.members(here)
          expect(table.count(vni)).to.equal(here.length)
          for (const ip of ips) {
            const claims = here.filter((p) => p.ips.includes(ip)).sort(comparePeers)
            expect(table.withIp(vni, ip)).to.deep.equal(claims)
          }
          for (const mac of macs) {
            const claims = here.filter((p) => p.mac === mac).sort(comparePeers)
            expect(table.withMac(vni, mac)).to.deep.equal(claims)
          }
          expect([...table.addresses(vni).ips]).to.have.members([
            ...new Set(here.flatMap((p) => p.ips)),
          ])
        }
      }),
    )
  })

  it('gives the same result however a history is cut into batches', () => {
    fc.assert(
      fc.property(arbitraryHistory, fc.integer({ min: 1, max: 10 }), (history, size) => {
        const whole = new Peers()
        const changed = whole.apply(history)
        const cut = new Peers()
        const changedCut = new Map<number, Set<string>>()
        for (let i = 0; i < history.length; i += size)
          for (const [vni, { ips, macs }] of cut.apply(history.slice(i, i + size)))
            changedCut.set(vni, new Set([...(changedCut.get(vni) ?? []), ...ips, ...macs]))
        for (const vni of vnis) expect(cut.of(vni)).to.have.deep.members(whole.of(vni))
        const flat = new Map(
          [...changed].map(([vni, { ips, macs }]) => [vni, new Set<string>([...ips, ...macs])]),
        )
        expect(flat).to.deep.equal(changedCut)
      }),
    )
  })

  it('names every address whose claims changed', () => {
    fc.assert(
      fc.property(arbitraryHistory, (history) => {
        const table = new Peers()
        for (const transition of history) {
          const before = vnis.map((vni) => ips.map((ip) => table.withIp(vni, ip)))
          const changed = table.apply([transition])
          vnis.forEach((vni, v) =>
            ips.forEach((ip, i) => {
              if (JSON.stringify(before[v]![i]) !== JSON.stringify(table.withIp(vni, ip)))
                expect(changed.get(vni)?.ips).to.include(ip)
            }),
          )
        }
      }),
    )
  })

  it('orders claims totally: live, then late, then by name', () => {
    fc.assert(
      fc.property(arbitraryPeer, arbitraryPeer, arbitraryPeer, (a, b, c) => {
        expect(Math.sign(comparePeers(a, b))).to.equal(-Math.sign(comparePeers(b, a)) + 0)
        if (comparePeers(a, b) < 0 && comparePeers(b, c) < 0)
          expect(comparePeers(a, c)).to.be.lessThan(0)
      }),
    )
    const order = [
      peer({ claimedAt: 1, origin: 'b' }),
      peer({ claimedAt: 1, origin: 'a', endpointId: 'e2' }),
      peer({ claimedAt: 1, origin: 'a', endpointId: 'e1' }),
      peer({ claimedAt: 9, live: false }),
    ]
    expect(order.toReversed().sort(comparePeers)).to.deep.equal(order)
  })

  it('falls back to the other claim when one goes', () => {
    const table = new Peers()
    const old = peer({ origin: 'a', vtep: vtepOf(1), claimedAt: 1 })
    const young = peer({ origin: 'b', vtep: vtepOf(2), claimedAt: 2 })
    table.apply([
      { previous: null, next: old },
      { previous: null, next: young },
    ])
    const first = (): Peer | undefined => table.withIp(old.vni, old.ips[0]!)[0]
    expect(first()).to.equal(young)
    table.apply([{ previous: young, next: null }])
    expect(first()).to.equal(old)
    table.apply([{ previous: null, next: young }])
    const { live: _live, ...rest } = young
    table.apply([{ previous: young, next: { ...rest, live: false } }])
    expect(first()).to.equal(old)
    expect(table.withIp(old.vni, old.ips[0]!)).to.have.length(2)
  })

  it('uses its own entry, not what a transition says was there', () => {
    const table = new Peers()
    table.apply([{ previous: null, next: peer({ mac: macOf(1) }) }])
    table.apply([{ previous: null, next: peer({ mac: macOf(2) }) }])
    expect(table.withMac(vniOf(1), macOf(1))).to.deep.equal([])
    table.apply([{ previous: peer({ mac: macOf(3), ips: [] }), next: null }])
    expect(table.of(vniOf(1))).to.deep.equal([])
    expect([...table.addresses(vniOf(1)).macs]).to.deep.equal([])
  })
})
