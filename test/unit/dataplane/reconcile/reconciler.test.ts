import { expect } from 'chai'
import fc from 'fast-check'
import { sleep } from '../../../../src/base/clock.ts'
import { silentLogger } from '../../../../src/base/logger.ts'
import type {
  EndpointLink,
  FailedRowChange,
  OverlayLinks,
  RowChange,
} from '../../../../src/dataplane/dataplane.ts'
import { desiredRows } from '../../../../src/dataplane/reconcile/desired-rows.ts'
import { MemoryDataplane, type Verb } from '../../../../src/dataplane/memory/memory-dataplane.ts'
import type { Peer } from '../../../../src/net/endpoint.ts'
import { Peers, type PeerTransition } from '../../../../src/peers/peers.ts'
import { PeeredReconciler } from '../../../support/peered-reconciler.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import { VirtualClock } from '../../../support/virtual-clock.ts'
import {
  arbitraryPeer,
  ipOf,
  keyOf,
  macOf,
  peer,
  vniOf,
  vtepOf,
} from '../../../support/peer-histories.ts'
import { endpointLink } from '../../../support/endpoint-link.ts'

/** Longer than the longest time between two tries. */
const longEnoughMs = 11_000

class RecordingDataplane extends MemoryDataplane {
  readonly batches: RowChange[][] = []
  dumps = 0
  afterDump: (() => void) | null = null

  override async apply(
    overlayId: string,
    changes: readonly RowChange[],
  ): Promise<FailedRowChange[]> {
    this.batches.push([...changes])
    return super.apply(overlayId, changes)
  }

  override async dump(overlayId: string): ReturnType<MemoryDataplane['dump']> {
    this.dumps++
    const actual = await super.dump(overlayId)
    this.afterDump?.()
    return actual
  }
}

const linksOf = (n: number): OverlayLinks => ({
  overlayId: `o${n}`,
  vni: vniOf(n),
  mtu: 1450,
  vtep: vtepOf(9),
  port: 4789,
  gateways: [],
})
const local = endpointLink('l1', macOf(1), { ips: [ipOf(2)] })
const appears = (next: Peer): PeerTransition => ({ previous: null, next })
const goes = (previous: Peer): PeerTransition => ({ previous, next: null })

describe('the reconciler', () => {
  let clock: VirtualClock
  let kernel: RecordingDataplane
  let reconciler: PeeredReconciler

  beforeEach(() => {
    clock = new VirtualClock()
    kernel = new RecordingDataplane()
    const parts = { dataplane: kernel, clock, logger: silentLogger, auditIntervalMs: 30_000 }
    reconciler = new PeeredReconciler(parts)
  })

  afterEach(async () => {
    await reconciler.stop()
  })

  async function rows(overlayId = 'o1'): Promise<string[]> {
    const actual = await MemoryDataplane.prototype.dump.call(kernel, overlayId)
    return [
      ...actual!.fdb.map(({ mac, vtep }) => `${mac} ${vtep}`),
      ...actual!.neighbours.map(({ ip, mac }) => `${ip} ${mac}`),
    ].sort()
  }
  const plain = [`${macOf(1)} ${vtepOf(1)}`, `${ipOf(2)} ${macOf(1)}`]

  it('has written all known peers in one batch before an overlay counts as attached', async () => {
    const second = peer({ origin: 'b', ips: [ipOf(4)], mac: macOf(2) })
    reconciler.applyPeers([appears(peer()), appears(second), appears(peer({ vni: vniOf(2) }))])
    await reconciler.attachOverlay(linksOf(1))
    expect(kernel.batches).to.have.length(1)
    expect(await rows()).to.deep.equal(
      [...plain, `${ipOf(4)} ${macOf(2)}`, `${macOf(2)} ${vtepOf(1)}`].sort(),
    )
    await reconciler.attachOverlay(linksOf(1))
    expect(kernel.batches).to.have.length(1)
    expect(kernel.dumps).to.equal(1)
  })

  it('admits frames from the VTEPs that rows lead to, before they do and no longer', async () => {
    const sources = (): string[] => [...kernel.overlay('o1')!.sources].sort()
    const second = peer({ origin: 'b', ips: [ipOf(4)], mac: macOf(2), vtep: vtepOf(2) })
    let before: string[] = []
    kernel.failRow((change) => {
      if (change.kind === 'fdb' && change.op === 'set') before = sources()
      return null
    })
    await reconciler.attachOverlay(linksOf(1))
    expect(sources()).to.deep.equal([])
    reconciler.applyPeers([appears(peer())])
    await clock.advance(10)
    expect(before).to.deep.equal([vtepOf(1)])
    reconciler.applyPeers([appears(second)])
    await clock.advance(10)
    expect(sources()).to.deep.equal([vtepOf(1), vtepOf(2)])
    reconciler.applyPeers([goes(peer())])
    await clock.advance(10)
    expect(sources()).to.deep.equal([vtepOf(2)])
  })

  it('repairs from whom frames are admitted, and counts it as drift', async () => {
    reconciler.applyPeers([appears(peer())])
    await reconciler.attachOverlay(linksOf(1))
    kernel.overlay('o1')!.sources = [vtepOf(7)]
    const [report] = await reconciler.audit()
    expect(report!.drift.sources).to.equal(2)
    expect(kernel.overlay('o1')!.sources).to.deep.equal([vtepOf(1)])
    expect((await reconciler.audit())[0]!.drift.sources).to.equal(0)
  })

  it("writes no row for the address of the overlay's own bridge, whichever peer claims it", async () => {
    const gateway = ipOf(4)
    reconciler.applyPeers([appears(peer({ ips: [ipOf(2), gateway] }))])
    await reconciler.attachOverlay({ ...linksOf(1), gateways: [`${gateway}/24`] })
    expect(await rows()).to.deep.equal([...plain].sort())
    await reconciler.attachOverlay({ ...linksOf(1), gateways: [] })
    expect(await rows()).to.deep.equal([...plain, `${gateway} ${macOf(1)}`].sort())
  })

  it('leaves the kernel alone once it has stopped, in the middle of an audit too', async () => {
    let reading = 0
    kernel.dump = async (overlayId) => {
      reading++
      await sleep(clock, 10)
      reading--
      return MemoryDataplane.prototype.dump.call(kernel, overlayId)
    }
    for (const n of [1, 2]) {
      const attached = reconciler.attachOverlay(linksOf(n))
      await clock.advance(100)
      await attached
    }
    const audit = reconciler.audit()
    const stopped = reconciler.stop().then(() => reading)
    await clock.advance(100)
    expect(await stopped).to.equal(0)
    await audit
  })

  it('writes what changes within a millisecond together, and only that', async () => {
    reconciler.applyPeers([appears(peer({ origin: 'z', ips: [ipOf(4)], mac: macOf(3) }))])
    await reconciler.attachOverlay(linksOf(1))
    kernel.batches.length = 0
    reconciler.applyPeers([appears(peer())])
    reconciler.applyPeers([appears(peer({ vni: vniOf(2) }))])
    reconciler.applyPeers([appears(peer({ origin: 'b', vtep: vtepOf(2), claimedAt: 2 }))])
    await clock.settled()
    expect(kernel.batches).to.deep.equal([])
    await clock.advance(1)
    expect(kernel.batches).to.deep.equal([
      [
        { op: 'set', kind: 'fdb', mac: macOf(1), vtep: vtepOf(2) },
        { op: 'set', kind: 'neighbour', ip: ipOf(2), mac: macOf(1) },
      ],
    ])
    expect(kernel.dumps).to.equal(1)
  })

  it('goes back to the other claimant when one goes, and to nothing with the last', async () => {
    const old = peer()
    const young = peer({ origin: 'b', vtep: vtepOf(2), claimedAt: 2 })
    await reconciler.attachOverlay(linksOf(1))
    reconciler.applyPeers([appears(old), appears(young)])
    await clock.advance(1)
    expect(await rows()).to.include(`${macOf(1)} ${vtepOf(2)}`)
    reconciler.applyPeers([{ previous: young, next: { ...young, live: false } }])
    await clock.advance(1)
    expect(await rows()).to.deep.equal(plain)
    expect(reconciler.peers.withIp(vniOf(1), ipOf(2)).map(({ origin }) => origin)).to.deep.equal([
      'a',
      'b',
    ])
    reconciler.applyPeers([goes(old)])
    await clock.advance(1)
    expect(await rows()).to.deep.equal([])
  })

  it('keeps an endpoint of this host free of rows while it is here', async () => {
    reconciler.applyPeers([appears(peer())])
    await reconciler.attachOverlay(linksOf(1))
    expect(await rows()).to.deep.equal(plain)
    const { sourceName } = await reconciler.attachEndpoint('o1', local)
    expect(sourceName).to.have.length.within(1, 15)
    expect(await rows()).to.deep.equal([])
    await reconciler.attachEndpoint('o1', endpointLink('l1', macOf(2), { ips: [ipOf(4)] }))
    expect(await rows()).to.deep.equal(plain)
    await reconciler.attachEndpoint('o1', local)
    await reconciler.detachEndpoint('o1', 'l1')
    expect(await rows()).to.deep.equal(plain)
    expect(kernel.overlay('o1')!.endpoints.size).to.equal(0)
  })

  it('refuses an endpoint of an overlay that is not attached, and takes its leave calmly', async () => {
    let error: unknown
    await reconciler.attachEndpoint('o1', local).catch((caught: unknown) => (error = caught))
    expect(error).to.include({ code: 'KERNEL' })
    await reconciler.detachEndpoint('o1', 'l1')
    await reconciler.detachOverlay('o1')
  })

  it('removes overlays from before a restart', async () => {
    await kernel.ensureOverlay(linksOf(1))
    await reconciler.detachOverlay('o1')
    expect(await kernel.overlays()).to.deep.equal([])
  })

  it('leaves an overlay alone that a container is attached to, until it is gone', async () => {
    await kernel.ensureOverlay(linksOf(1))
    await kernel.ensureEndpoint('o1', endpointLink('theirs', macOf(3)))
    kernel.moveEndpoint('o1', 'theirs', 'sandbox')
    const refused = await reconciler.detachOverlay('o1').catch((error: Error) => error.message)
    expect(refused).to.match(/overlay o1 stays: .* enable the plugin that started them/)
    await clock.advance(60_000)
    expect(await kernel.overlays()).to.deep.equal(['o1'])
    kernel.moveEndpoint('o1', 'theirs', 'hostNetns')
    await clock.advance(longEnoughMs)
    expect(await kernel.overlays()).to.deep.equal([])
  })

  it('removes an overlay later when it fails now, unless it is wanted again', async () => {
    for (const back of [false, true]) {
      await reconciler.attachOverlay(linksOf(1))
      for (let nth = 1; nth <= 3; nth++) kernel.failCall('removeOverlay', nth)
      let error: unknown
      await reconciler.detachOverlay('o1').catch((caught: unknown) => (error = caught))
      expect(error).to.include({ code: 'KERNEL' })
      expect(await kernel.overlays()).to.deep.equal(['o1'])
      if (back) await reconciler.attachOverlay(linksOf(1))
      await clock.advance(longEnoughMs)
      expect(await kernel.overlays()).to.deep.equal(back ? ['o1'] : [])
      kernel.endFaults()
    }
  })

  it('tries rows again that fail, less and less often, and says so', async () => {
    await reconciler.attachOverlay(linksOf(1))
    kernel.failRow((change) => (change.kind === 'fdb' ? 'EINVAL' : null))
    reconciler.applyPeers([appears(peer())])
    await clock.advance(1)
    expect(await rows()).to.deep.equal([`${ipOf(2)} ${macOf(1)}`])
    const [status] = reconciler.status().overlays
    expect(status).to.include({ settled: false, neighbours: 1, fdb: 0 })
    expect(status!.lastError).to.include('EINVAL').and.include(macOf(1))
    kernel.batches.length = 0
    await clock.advance(30_000)
    expect(kernel.batches.length).to.be.within(6, 12)
    for (const batch of kernel.batches) expect(batch).to.have.length(1)
    kernel.failRow(null)
    await clock.advance(longEnoughMs)
    expect(await rows()).to.deep.equal(plain)
    expect(reconciler.status().overlays[0]).to.include({ settled: true, lastError: null })
    expect(kernel.dumps, 'a refused row needs no dump').to.equal(1)
  })

  it('audits the overlay when it does not know what was written, as when answers were lost', async () => {
    await reconciler.attachOverlay(linksOf(1))
    kernel.failCall('apply')
    reconciler.applyPeers([appears(peer())])
    await clock.advance(1)
    expect(await rows()).to.deep.equal([])
    kernel.overlay('o1')!.links = { ...linksOf(1), mtu: 1400 }
    await clock.advance(100)
    expect(await rows()).to.deep.equal(plain)
    expect(kernel.overlay('o1')!.links.mtu).to.equal(1450)
    expect(reconciler.status().drift.links).to.equal(1)
  })

  it('audits the overlay after a call for an endpoint that failed', async () => {
    await reconciler.attachOverlay(linksOf(1))
    for (const verb of ['ensureEndpoint', 'removeEndpoint'] as const) {
      kernel.failCall(verb)
      kernel.overlay('o1')!.fdb.set(macOf(2), [vtepOf(1)])
      const call =
        verb === 'ensureEndpoint'
          ? reconciler.attachEndpoint('o1', local)
          : reconciler.detachEndpoint('o1', 'l1')
      expect(await call.catch((error: unknown) => error)).to.include({ code: 'KERNEL' })
      await clock.advance(100)
      expect(await rows(), verb).to.deep.equal([])
    }
  })

  it('does not catch a bug, nor try again what has one', async () => {
    await reconciler.attachOverlay(linksOf(1))
    const bug = new TypeError('x is undefined')
    kernel.failCall('apply', 1, bug)
    reconciler.applyPeers([appears(peer())])
    const caught = await reconciler.attachOverlay(linksOf(1)).catch((error: unknown) => error)
    expect(caught).to.equal(bug)
    kernel.failCall('removeOverlay', 1, bug)
    expect(await reconciler.detachOverlay('o1').catch((error: unknown) => error)).to.equal(bug)
    await clock.advance(longEnoughMs)
    expect(await kernel.overlays(), 'nobody tried again').to.deep.equal(['o1'])
  })

  it('attaches an overlay although its rows fail, and not when its links do', async () => {
    reconciler.applyPeers([appears(peer())])
    kernel.failCall('ensureOverlay')
    let error: unknown
    await reconciler.attachOverlay(linksOf(1)).catch((caught: unknown) => (error = caught))
    expect(error).to.include({ code: 'KERNEL' })
    expect(reconciler.status().overlays).to.deep.equal([])
    kernel.failCall('apply')
    await reconciler.attachOverlay(linksOf(1))
    await clock.advance(100)
    expect(await rows()).to.deep.equal(plain)
  })

  it('writes all rows again when the tunnel changes', async () => {
    reconciler.applyPeers([appears(peer()), appears(peer({ vni: vniOf(2), mac: macOf(2) }))])
    await reconciler.attachOverlay(linksOf(1))
    await reconciler.attachOverlay({ ...linksOf(1), port: 4790 })
    expect(await rows()).to.deep.equal(plain)
    await reconciler.attachOverlay({ ...linksOf(2), overlayId: 'o1' })
    expect(await rows()).to.include(`${ipOf(2)} ${macOf(2)}`)
    await reconciler.attachOverlay({ ...linksOf(2), overlayId: 'o1', vtep: vtepOf(1) })
    expect(await rows(), 'that peer is behind our own VTEP now').to.deep.equal([])
  })

  describe('audits', () => {
    beforeEach(async () => {
      reconciler.applyPeers([appears(peer({ origin: 'b', ips: [ipOf(4)], mac: macOf(2) }))])
      await reconciler.attachOverlay(linksOf(1))
      await reconciler.attachEndpoint('o1', local)
    })

    it('at every interval, repairs and counts by kind', async () => {
      const wanted = await rows()
      reconciler.start()
      await clock.advance(30_000)
      expect(reconciler.status()).to.deep.include({
        audits: 1,
        drift: { links: 0, endpoints: 0, fdb: 0, neighbours: 0, sources: 0 },
      })
      const inside = kernel.overlay('o1')!
      inside.links = { ...inside.links, mtu: 1000 }
      inside.endpoints.get('l1')!.portConfigured = false
      inside.fdb.clear()
      inside.fdb.set(macOf(3), [vtepOf(1)])
      inside.neighbours.set(ipOf(4), macOf(3))
      await clock.advance(30_000)
      expect(reconciler.status()).to.deep.include({
        audits: 2,
        drift: { links: 1, endpoints: 1, fdb: 2, neighbours: 1, sources: 0 },
      })
      expect(await rows()).to.deep.equal(wanted)
      expect(inside.endpoints.get('l1')!.portConfigured).to.equal(true)
    })

    it('leave one VTEP where a MAC address was given more, and lose none of them', async () => {
      const wanted = await rows()
      const { fdb } = kernel.overlay('o1')!
      fdb.set(macOf(2), [vtepOf(3), vtepOf(1), vtepOf(2)])
      kernel.failRow((change) => (change.op === 'remove' ? 'EBUSY' : null))
      await reconciler.audit()
      kernel.failRow(null)
      await clock.advance(100)
      expect(await rows()).to.deep.equal(wanted)
      reconciler.applyPeers([goes(peer({ origin: 'b', ips: [ipOf(4)], mac: macOf(2) }))])
      await clock.advance(1)
      expect(await rows()).to.deep.equal([])
    })

    it('do not count what is merely not written yet', async () => {
      reconciler.applyPeers([appears(peer({ origin: 'c', ips: [ipOf(3)], mac: macOf(3) }))])
      const [report] = await reconciler.audit()
      expect(report!.drift).to.deep.equal({
        links: 0,
        endpoints: 0,
        fdb: 0,
        neighbours: 0,
        sources: 0,
      })
      expect(await rows()).to.include(`${macOf(3)} ${vtepOf(1)}`)
    })

    it('report endpoints that are gone, and leave those that nobody knows', async () => {
      kernel.overlay('o1')!.endpoints.clear()
      await kernel.ensureEndpoint('o1', endpointLink('stray', macOf(3)))
      const [report] = await reconciler.audit()
      expect(report).to.deep.include({ missing: ['l1'] })
      expect([...kernel.overlay('o1')!.endpoints.keys()]).to.deep.equal(['stray'])
      expect(reconciler.status().overlays[0]!.missing).to.deep.equal(['l1'])
      await reconciler.attachEndpoint('o1', local)
      expect(reconciler.status().overlays[0]!.missing).to.deep.equal([])
    })

    it('go on with the other endpoints when one cannot be repaired, say so and try again', async () => {
      const sandboxKey = '/netns/c'
      kernel.sandboxes.add(sandboxKey)
      await reconciler.attachEndpoint('o1', { ...local, sandboxKey })
      await reconciler.attachEndpoint('o1', { ...local, endpointId: 'l2', mac: macOf(3) })
      const { endpoints } = kernel.overlay('o1')!
      endpoints.delete('l1')
      endpoints.get('l2')!.portConfigured = false
      kernel.failCall('restoreEndpoint')
      const [report] = await reconciler.audit()
      expect(report).to.deep.include({ missing: ['l1'] })
      expect(report!.drift.endpoints).to.equal(1)
      expect(endpoints.get('l2')!.portConfigured).to.equal(true)
      const [status] = reconciler.status().overlays
      expect(status).to.deep.include({ missing: ['l1'], lastError: 'restoreEndpoint: EBUSY' })
      await clock.advance(200)
      expect(reconciler.status().overlays[0]).to.deep.include({ missing: [], lastError: null })
      expect(endpoints.has('l1')).to.equal(true)
    })

    it('make no pair in the place of one that goes while they read', async () => {
      const sandboxKey = '/netns/c'
      await reconciler.attachEndpoint('o1', { ...local, sandboxKey })
      kernel.moveEndpoint('o1', 'l1', 'sandbox')
      const { endpoints } = kernel.overlay('o1')!
      const goesMeanwhile = (): void => {
        endpoints.get('l1')!.portConfigured = false
        kernel.afterDump = () => {
          kernel.afterDump = null
          endpoints.delete('l1')
        }
      }
      goesMeanwhile()
      expect((await reconciler.audit())[0]).to.deep.include({ missing: ['l1'], failure: null })
      expect(endpoints.has('l1')).to.equal(false)
      kernel.sandboxes.add(sandboxKey)
      await reconciler.audit()
      goesMeanwhile()
      expect((await reconciler.audit())[0]).to.deep.include({ missing: [], failure: null })
      expect(endpoints.get('l1')).to.include({ inHostNetns: false })
    })

    it('repair the rest while one row is refused for good, and do not count it as drift', async () => {
      const odd = peer({ origin: 'odd', ips: [ipOf(3)], mac: macOf(3) })
      kernel.failRow((change) =>
        change.kind === 'fdb' && change.mac === macOf(3) ? 'EINVAL' : null,
      )
      reconciler.applyPeers([appears(odd)])
      await clock.advance(1)
      const wanted = await rows()
      const told = reconciler.status().overlays[0]!.lastError
      const inside = kernel.overlay('o1')!
      inside.endpoints.get('l1')!.portConfigured = false
      inside.neighbours.delete(ipOf(4))
      const [report] = await reconciler.audit()
      expect(report!.failure).to.equal(told).and.include('EINVAL')
      expect(report!.drift).to.deep.equal({
        links: 0,
        endpoints: 1,
        fdb: 0,
        neighbours: 1,
        sources: 0,
      })
      expect(inside.endpoints.get('l1')!.portConfigured).to.equal(true)
      expect(await rows()).to.deep.equal(wanted)
      inside.endpoints.delete('l1')
      await reconciler.audit()
      expect(reconciler.status().overlays[0]).to.deep.include({ missing: ['l1'], settled: false })
    })

    it('throw a bug in the repair of an endpoint on', async () => {
      kernel.overlay('o1')!.endpoints.get('l1')!.portConfigured = false
      kernel.failCall('restoreEndpoint', 1, new TypeError('made up'))
      const caught = await reconciler.audit().catch((error: unknown) => error)
      expect(caught).to.be.instanceOf(TypeError)
    })

    it('build a whole overlay again after everything was lost', async () => {
      const wanted = await rows()
      kernel.clear()
      const [report] = await reconciler.audit()
      expect(report).to.deep.include({ missing: ['l1'] })
      expect(report!.drift.links).to.be.greaterThan(0)
      expect(await rows()).to.deep.equal(wanted)
    })

    it('survive a kernel that fails, and stop when told to', async () => {
      for (const verb of ['ensureOverlay', 'dump'] as const) {
        kernel.failCall(verb)
        expect(await reconciler.audit()).to.deep.equal([])
        expect(reconciler.status().overlays[0]!.lastError).to.include('EBUSY')
        await clock.advance(200)
        expect(reconciler.status().overlays[0]!.lastError).to.equal(null)
      }
      reconciler.start()
      await clock.advance(30_000)
      await reconciler.stop()
      const { audits } = reconciler.status()
      expect(audits).to.equal(3)
      await clock.advance(120_000)
      expect(reconciler.status().audits).to.equal(audits)
    })
  })

  it('ends with the kernel as desired, whatever happens on the way', async () => {
    type Step =
      | { do: 'peer'; peer: Peer; goes: boolean }
      | { do: 'attach' | 'detach'; overlay: number }
      | { do: 'attachEndpoint' | 'detachEndpoint'; overlay: number; mac: number; ip: number }
      | { do: 'failCall'; verb: Verb; nth: number }
      | { do: 'wait'; ms: number }
      | { do: 'audit' }
    const overlay = fc.integer({ min: 1, max: 2 })
    const endpoint = {
      overlay,
      mac: fc.integer({ min: 1, max: 3 }),
      ip: fc.integer({ min: 1, max: 4 }),
    }
    const verb = fc.constantFrom<Verb>(
      'apply',
      'dump',
      'ensureOverlay',
      'ensureEndpoint',
      'removeOverlay',
    )
    const step: fc.Arbitrary<Step> = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          do: fc.constant('peer' as const),
          peer: arbitraryPeer,
          goes: fc.boolean(),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constantFrom('attach' as const, 'detach' as const),
          overlay,
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constantFrom('attachEndpoint' as const, 'detachEndpoint' as const),
          ...endpoint,
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant('failCall' as const),
          verb,
          nth: fc.integer({ min: 1, max: 3 }),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant('wait' as const),
          ms: fc.integer({ min: 0, max: 200 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('audit' as const) }) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const clock = new VirtualClock()
        const kernel = new MemoryDataplane()
        const reconciler = new PeeredReconciler({ dataplane: kernel, clock, logger: silentLogger })
        const truth = new Peers()
        const known = new Map<string, Peer>()
        const locals = new Map<string, EndpointLink>()
        const noted = (): void => {}
        const work: Promise<unknown>[] = []
        for (const now of steps) {
          if (now.do === 'peer') {
            const key = keyOf(now.peer)
            const next = now.goes ? null : now.peer
            const transition = { previous: known.get(key) ?? null, next }
            if (next === null) known.delete(key)
            else known.set(key, next)
            truth.apply([transition])
            reconciler.applyPeers([transition])
          } else if (now.do === 'attach')
            work.push(reconciler.attachOverlay(linksOf(now.overlay)).catch(() => {}))
          else if (now.do === 'detach')
            work.push(
              reconciler
                .detachOverlay(`o${now.overlay}`)
                .catch(() => {})
                .then(() => locals.delete(`o${now.overlay}`)),
            )
          else if (now.do === 'attachEndpoint') {
            const wanted = endpointLink('l', macOf(now.mac), { ips: [ipOf(now.ip)] })
            const attached = reconciler.attachEndpoint(`o${now.overlay}`, wanted)
            work.push(attached.then(() => locals.set(`o${now.overlay}`, wanted), noted))
          } else if (now.do === 'detachEndpoint')
            work.push(
              reconciler
                .detachEndpoint(`o${now.overlay}`, 'l')
                .then(() => locals.delete(`o${now.overlay}`), noted),
            )
          else if (now.do === 'failCall') kernel.failCall(now.verb, now.nth)
          else if (now.do === 'wait') await clock.advance(now.ms)
          else work.push(reconciler.audit())
        }
        kernel.endFaults()
        await Promise.all(work)
        await clock.advance(longEnoughMs)
        const { overlays } = reconciler.status()
        expect(await kernel.overlays()).to.have.members(overlays.map(({ overlayId }) => overlayId))
        for (const { overlayId, vni, vtep, settled } of overlays) {
          expect(settled, overlayId).to.equal(true)
          const own = locals.get(overlayId)
          const here = new Map(own === undefined ? [] : [[own.endpointId, own]])
          const view = { vni, vtep, endpoints: here, gateways: new Set<Ip>(), subnets: [] }
          const desired = desiredRows(truth, view, truth.addresses(vni))
          const actual = (await kernel.dump(overlayId))!
          expect(actual.fdb).to.have.deep.members(desired.fdb)
          expect(actual.neighbours).to.have.deep.members(desired.neighbours)
        }
        await reconciler.stop()
      }),
      { numRuns: 300 },
    )
  }).timeout(30_000)
})
