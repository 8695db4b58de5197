import { expect } from 'chai'
import { silentLogger } from '../../../../src/base/logger.ts'
import type { OverlayLinks } from '../../../../src/dataplane/dataplane.ts'
import { MemoryDataplane } from '../../../../src/dataplane/memory/memory-dataplane.ts'
import type { Peer } from '../../../../src/net/endpoint.ts'
import { PeeredReconciler } from '../../../support/peered-reconciler.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'
import { ipOf, macOf, peer, vniOf, vtepOf } from '../../../support/peer-histories.ts'
import { endpointLink } from '../../../support/endpoint-link.ts'

const links: OverlayLinks = {
  overlayId: 'o',
  vni: vniOf(1),
  mtu: 1450,
  vtep: vtepOf(9),
  port: 4789,
  gateways: [],
}
/** Two endpoints behind one VTEP, one behind another. */
const peers: Peer[] = [
  peer({ endpointId: 'e1', mac: macOf(1), ips: [ipOf(1)], vtep: vtepOf(1) }),
  peer({ endpointId: 'e2', mac: macOf(2), ips: [ipOf(2)], vtep: vtepOf(1) }),
  peer({ endpointId: 'e3', mac: macOf(3), ips: [ipOf(3)], vtep: vtepOf(2), origin: 'b' }),
]
const [first, second, third] = peers as [Peer, Peer, Peer]

describe('stale rows', () => {
  let clock: VirtualClock
  let kernel: MemoryDataplane
  let known: Set<Ip>
  let reconciler: PeeredReconciler

  const tell = (...next: Peer[]): void =>
    reconciler.applyPeers(next.map((some) => ({ previous: null, next: some })))
  const rows = async (): Promise<string[]> => {
    const { fdb, neighbours } = (await kernel.dump('o'))!
    return [
      ...fdb.map(({ mac, vtep }) => `${mac} ${vtep}`),
      ...neighbours.map(({ ip, mac }) => `${ip} ${mac}`),
    ].sort()
  }
  const rowsOf = (...some: Peer[]): string[] =>
    some.flatMap(({ mac, vtep, ips }) => [`${mac} ${vtep}`, `${ips[0]} ${mac}`]).sort()

  /** A reconciler that knows no peers, in a kernel where an earlier one wrote all rows. */
  beforeEach(async () => {
    clock = new VirtualClock()
    kernel = new MemoryDataplane()
    known = new Set()
    const parts = { dataplane: kernel, clock, logger: silentLogger, auditIntervalMs: 2000 }
    const before = new PeeredReconciler(parts)
    before.applyPeers(peers.map((next) => ({ previous: null, next })))
    await before.attachOverlay(links)
    await before.stop()
    reconciler = new PeeredReconciler({ ...parts, isKnown: (vtep) => known.has(vtep) })
    reconciler.start()
    await reconciler.attachOverlay(links)
  })
  afterEach(() => reconciler.stop())

  it('stay while nothing is known of the members that they lead to, audits or not', async () => {
    expect(await rows()).to.deep.equal(rowsOf(...peers))
    await clock.advance(60_000)
    expect(await rows()).to.deep.equal(rowsOf(...peers))
    expect(reconciler.status().drift).to.deep.equal({
      links: 0,
      endpoints: 0,
      fdb: 0,
      neighbours: 0,
      sources: 0,
    })
  })

  it('go as well where the kernel could not be read at first', async () => {
    await reconciler.stop()
    const parts = { dataplane: kernel, clock, logger: silentLogger, auditIntervalMs: 2000 }
    reconciler = new PeeredReconciler({ ...parts, isKnown: () => true })
    kernel.failCall('dump')
    reconciler.start()
    await reconciler.attachOverlay(links)
    await clock.advance(10_000)
    expect(await rows()).to.deep.equal([])
  })

  it('go once their member is known and does not claim them', async () => {
    known.add(vtepOf(1))
    tell(first)
    await clock.advance(900)
    expect(await rows()).to.deep.equal(rowsOf(...peers))
    await clock.advance(2000)
    expect(await rows()).to.deep.equal(rowsOf(first, third))
  })

  it('do not go before the claims of a member that has just become known are here', async () => {
    await clock.advance(999)
    known.add(vtepOf(1))
    await clock.advance(900)
    expect(await rows()).to.deep.equal(rowsOf(...peers))
    tell(first, second)
    await clock.advance(5000)
    expect(await rows()).to.deep.equal(rowsOf(...peers))
  })

  it('are replaced by a claim at once, and go with it', async () => {
    const moved = peer({ mac: macOf(1), ips: [ipOf(1)], vtep: vtepOf(5), origin: 'c' })
    tell(moved)
    await clock.advance(10)
    expect(await rows()).to.deep.equal(rowsOf(moved, second, third))
    reconciler.applyPeers([{ previous: moved, next: null }])
    await clock.advance(10)
    expect(await rows()).to.deep.equal(rowsOf(second, third))
  })

  it('are replaced by an endpoint of this host', async () => {
    const here = endpointLink('l', macOf(3), { ips: [ipOf(3)] })
    await reconciler.attachEndpoint('o', here)
    expect(await rows()).to.deep.equal(rowsOf(first, second))
  })

  it('go after ten minutes whatever is known', async () => {
    await clock.advance(9 * 60_000)
    expect(await rows()).to.deep.equal(rowsOf(...peers))
    await clock.advance(62_000)
    expect(await rows()).to.deep.equal([])
  })

  it('are only those that were there at the start: a row that somebody adds later goes', async () => {
    kernel.overlay('o')!.fdb.set(macOf(7), [vtepOf(7)])
    await clock.advance(2100)
    expect(await rows()).to.deep.equal(rowsOf(...peers))
    expect(reconciler.status().drift.fdb).to.equal(1)
  })
})
