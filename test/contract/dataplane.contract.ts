import { expect } from 'chai'
import { OverlayError } from '../../src/base/errors.ts'
import { parseIpInCidr } from '../../src/net/cidr.ts'
import type {
  ActualEndpoint,
  ActualOverlay,
  RowChange,
  Dataplane,
  EndpointLink,
  OverlayLinks,
} from '../../src/dataplane/dataplane.ts'
import type { Ip } from '../../src/net/ip.ts'
import type { Mac } from '../../src/net/mac.ts'
import type { Vni } from '../../src/net/vni.ts'
import { endpointLink } from '../support/endpoint-link.ts'

/** A data plane on a host of its own, and hands to interfere from outside. */
export interface DataplaneBench {
  readonly dataplane: Dataplane
  /** An underlay address of the host, and its interface's MTU. */
  readonly vtep: Ip
  readonly underlayMtu: number
  /** Another data plane on the same host, as after a restart of the process. */
  restart(): Promise<Dataplane>
  /** What the engine does after Join, and before DeleteEndpoint. */
  moveEndpoint(
    name: string,
    overlayId: string,
    endpointId: string,
    to: 'sandbox' | 'hostNetns',
  ): Promise<void>
  /** What the kernel has by its own tools: MACs with their VTEPs, addresses with their MACs, sorted. */
  rows(overlayId: string): Promise<{ fdb: string[]; neighbours: string[] }>
  /** Puts a VXLAN device onto the host that is not ours. */
  addForeignDevice(vni: Vni): Promise<void>
  close(): Promise<void>
}

const mac = (n: number): Mac =>
  `02:42:0a:14:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}` as Mac
const ip = (n: number): Ip => `10.20.${n >> 8}.${n & 255}` as Ip
const remote = (n: number): Ip => `192.0.2.${n}` as Ip
const fdb = (op: RowChange['op'], n: number, vtep: number): RowChange => ({
  op,
  kind: 'fdb',
  mac: mac(n),
  vtep: remote(vtep),
})
const neighbour = (op: RowChange['op'], n: number, m: number): RowChange => ({
  op,
  kind: 'neighbour',
  ip: ip(n),
  mac: mac(m),
})

async function refusalOf(work: Promise<unknown>): Promise<OverlayError> {
  try {
    await work
  } catch (error) {
    if (error instanceof OverlayError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

/** What a dump has of a link that is as it should be. */
function actualOf(
  { endpointId, mac, mtu, addresses }: EndpointLink,
  inHostNetns: boolean,
): ActualEndpoint {
  const ips = addresses.map((address) => address.ip)
  return { endpointId, mac, mtu, ips, portConfigured: true, inHostNetns }
}

/** What every data plane must do. Each test gets a bench of its own. */
export function dataplaneContract(open: () => Promise<DataplaneBench>): void {
  let bench: DataplaneBench
  let links: OverlayLinks
  const endpoint = endpointLink('e1', mac(2), { mtu: 1400 })

  beforeEach(async () => {
    bench = await open()
    const { vtep } = bench
    const gateways = ['10.20.0.1/16']
    links = { overlayId: 'o1', vni: 5001 as Vni, mtu: 1400, vtep, port: 4789, gateways }
    await bench.dataplane.start()
  })

  afterEach(async () => {
    await bench.dataplane.close()
    await bench.close()
  })

  const dumped = async (overlayId = 'o1'): Promise<ActualOverlay> => {
    const actual = await bench.dataplane.dump(overlayId)
    expect(actual, `overlay ${overlayId}`).to.not.equal(null)
    return actual!
  }

  describe('an overlay', () => {
    it('is made once, and found as it was asked for', async () => {
      expect(await bench.dataplane.overlays()).to.deep.equal([])
      expect(await bench.dataplane.dump('o1')).to.equal(null)
      expect(await bench.dataplane.ensureOverlay(links)).to.not.deep.equal([])
      expect(await bench.dataplane.ensureOverlay(links)).to.deep.equal([])
      expect(await bench.dataplane.overlays()).to.deep.equal(['o1'])
      const nothing = { endpoints: [], fdb: [], neighbours: [], sources: [], dropped: {} }
      const { fastPath: _, traffic: __, tunnelDrops: ___, ...rest } = await dumped()
      expect(rest).to.deep.equal({ overlayId: 'o1', ...nothing })
    })

    it('is changed where it differs, and keeps its rows unless the tunnel is another one', async () => {
      await bench.dataplane.ensureOverlay(links)
      await bench.dataplane.apply('o1', [fdb('set', 9, 7)])
      const other = { ...links, mtu: 1300, gateways: ['10.20.0.9/16', 'fd00:20::1/64'] }
      expect(await bench.dataplane.ensureOverlay(other)).to.not.deep.equal([])
      expect(await bench.dataplane.ensureOverlay(other)).to.deep.equal([])
      expect((await bench.rows('o1')).fdb).to.deep.equal([`${mac(9)} ${remote(7)}`])
      expect(await bench.dataplane.ensureOverlay({ ...other, vni: 5002 as Vni })).to.not.deep.equal(
        [],
      )
      expect((await bench.rows('o1')).fdb).to.deep.equal([])
    })

    it('lives on when the process does not, and is found again', async () => {
      await bench.dataplane.ensureOverlay(links)
      await bench.dataplane.ensureEndpoint('o1', endpoint)
      await bench.dataplane.apply('o1', [fdb('set', 9, 7), neighbour('set', 9, 9)])
      const before = await dumped()
      const after = await bench.restart()
      expect(await after.overlays()).to.deep.equal(['o1'])
      expect(await after.ensureOverlay(links)).to.deep.equal([])
      expect((await after.ensureEndpoint('o1', endpoint)).changed).to.deep.equal([])
      expect(await after.dump('o1')).to.deep.equal(before)
    })

    it('goes with all that is in it, however often it is asked to', async () => {
      await bench.dataplane.ensureOverlay(links)
      await bench.dataplane.ensureEndpoint('o1', endpoint)
      await bench.dataplane.removeOverlay('o1')
      await bench.dataplane.removeOverlay('o1')
      await bench.dataplane.removeOverlay('never')
      expect(await bench.dataplane.overlays()).to.deep.equal([])
      expect(await bench.dataplane.dump('o1')).to.equal(null)
      await bench.dataplane.ensureOverlay({ ...links, overlayId: 'o2' })
      expect((await dumped('o2')).endpoints).to.deep.equal([])
    })

    it('is refused a VNI that another overlay of the host has, and leaves nothing behind', async () => {
      await bench.dataplane.ensureOverlay(links)
      const error = await refusalOf(bench.dataplane.ensureOverlay({ ...links, overlayId: 'o2' }))
      expect(error.code).to.equal('VNI_IN_USE')
      expect(error.message).to.include('o1').and.include('o2').and.include('5001')
      expect(await bench.dataplane.overlays()).to.deep.equal(['o1'])
    })

    it('admits frames from the VTEPs that it is told, until it is told others', async () => {
      await bench.dataplane.ensureOverlay(links)
      const sources = async (): Promise<string[]> => [...(await dumped()).sources].sort()
      await bench.dataplane.setTunnelSources('o1', [remote(1), remote(2)])
      expect(await sources()).to.deep.equal([remote(1), remote(2)])
      await bench.dataplane.ensureOverlay({ ...links, overlayId: 'o2', vni: 5002 as Vni })
      await bench.dataplane.setTunnelSources('o2', [remote(1)])
      await bench.dataplane.setTunnelSources('o1', [remote(2), remote(3)])
      expect(await sources()).to.deep.equal([remote(2), remote(3)])
      expect((await dumped('o2')).sources).to.deep.equal([remote(1)])
      await bench.restart()
      expect(await sources()).to.deep.equal([remote(2), remote(3)])
      await bench.dataplane.removeOverlay('o2')
      await bench.dataplane.ensureOverlay({ ...links, overlayId: 'o2', vni: 5002 as Vni })
      expect((await dumped('o2')).sources).to.deep.equal([])
    })

    it('lets containers send from their own addresses only, unless told otherwise', async () => {
      const link = (...texts: string[]): EndpointLink => ({
        ...endpoint,
        addresses: texts.map((text) => parseIpInCidr(text)!),
      })
      await bench.dataplane.ensureOverlay(links)
      await bench.dataplane.ensureEndpoint('o1', link('10.20.0.2/16', 'fd00:20::2/64'))
      const ips = async () => (await dumped()).endpoints[0]!.ips
      expect([...(await ips())!].sort()).to.deep.equal(['10.20.0.2', 'fd00:20::2'])
      const { changed } = await bench.dataplane.ensureEndpoint('o1', link('10.20.0.2/16'))
      expect(changed).to.not.deep.equal([])
      expect(await ips()).to.deep.equal(['10.20.0.2'])
      await bench.dataplane.ensureOverlay({ ...links, spoofing: 'allow' })
      expect(await ips()).to.equal(null)
      await bench.dataplane.ensureOverlay(links)
      await bench.dataplane.ensureEndpoint('o1', link('10.20.0.2/16'))
      expect(await ips()).to.deep.equal(['10.20.0.2'])
    })

    it('has several VTEPs for its default destination, and one for all others', async () => {
      await bench.dataplane.ensureOverlay({ ...links, multicast: true })
      const everybody = '00:00:00:00:00:00' as Mac
      const row = (op: 'set' | 'remove', to: Mac, vtep: string): RowChange => ({
        op,
        kind: 'fdb',
        mac: to,
        vtep: vtep as Ip,
      })
      const changes = [
        row('set', everybody, '192.0.2.7'),
        row('set', everybody, '192.0.2.8'),
        row('set', everybody, '192.0.2.8'),
        row('set', mac(7), '192.0.2.7'),
        row('set', mac(7), '192.0.2.8'),
      ]
      expect(await bench.dataplane.apply('o1', changes)).to.deep.equal([])
      expect((await dumped()).fdb).to.have.deep.members([
        { mac: everybody, vtep: '192.0.2.7' },
        { mac: everybody, vtep: '192.0.2.8' },
        { mac: mac(7), vtep: '192.0.2.8' },
      ])
      expect(await bench.dataplane.ensureOverlay({ ...links, multicast: true })).to.deep.equal([])
      await bench.dataplane.apply('o1', [row('remove', everybody, '192.0.2.7')])
      expect((await dumped()).fdb).to.have.deep.members([
        { mac: everybody, vtep: '192.0.2.8' },
        { mac: mac(7), vtep: '192.0.2.8' },
      ])
    })

    it('is refused the VNI of a foreign device', async () => {
      await bench.addForeignDevice(links.vni)
      const error = await refusalOf(bench.dataplane.ensureOverlay(links))
      expect(error.code).to.equal('VNI_IN_USE')
      expect(error.message).to.include('5001')
      expect(await bench.dataplane.overlays()).to.deep.equal([])
      await bench.dataplane.ensureOverlay({ ...links, vni: 5003 as Vni })
    })

    it('may have any text for an id', async () => {
      const overlayId = `10.20.0.0/16 ü:${'x'.repeat(140)}`
      await bench.dataplane.ensureOverlay({ ...links, overlayId })
      await bench.dataplane.ensureEndpoint(overlayId, { ...endpoint, endpointId: 'f'.repeat(64) })
      expect(await bench.dataplane.overlays()).to.deep.equal([overlayId])
      const { endpoints } = await dumped(overlayId)
      expect(endpoints.map(({ endpointId }) => endpointId)).to.deep.equal(['f'.repeat(64)])
    })
  })

  describe('an endpoint', () => {
    it('needs its overlay', async () => {
      const error = await refusalOf(bench.dataplane.ensureEndpoint('o1', endpoint))
      expect(error).to.include({ code: 'KERNEL', kind: 'failure' })
      await bench.dataplane.removeEndpoint('o1', 'e1')
    })

    it('is made once, under a name of its own that the kernel takes', async () => {
      await bench.dataplane.ensureOverlay(links)
      const made = await bench.dataplane.ensureEndpoint('o1', endpoint)
      expect(made.changed).to.not.deep.equal([])
      expect(Buffer.byteLength(made.sourceName)).to.be.within(1, 15)
      const again = await bench.dataplane.ensureEndpoint('o1', endpoint)
      expect(again).to.deep.equal({ sourceName: made.sourceName, changed: [] })
      const other = { ...endpoint, endpointId: 'e2', mac: mac(3) }
      const second = await bench.dataplane.ensureEndpoint('o1', other)
      expect(second.sourceName).to.not.equal(made.sourceName)
      expect((await dumped()).endpoints).to.have.deep.members([
        actualOf(endpoint, true),
        actualOf(other, true),
      ])
    })

    it('is changed where it differs', async () => {
      await bench.dataplane.ensureOverlay(links)
      await bench.dataplane.ensureEndpoint('o1', endpoint)
      const other = { ...endpoint, mac: mac(4), mtu: 1280 }
      expect((await bench.dataplane.ensureEndpoint('o1', other)).changed).to.not.deep.equal([])
      expect((await bench.dataplane.ensureEndpoint('o1', other)).changed).to.deep.equal([])
      expect((await dumped()).endpoints).to.deep.equal([actualOf(other, true)])
    })

    it('is restored where it is, and not created by that', async () => {
      await bench.dataplane.ensureOverlay(links)
      expect(await bench.dataplane.restoreEndpoint('o1', endpoint)).to.equal('missing')
      expect((await dumped()).endpoints).to.deep.equal([])
      await bench.dataplane.ensureEndpoint('o1', endpoint)
      expect(await bench.dataplane.restoreEndpoint('o1', endpoint)).to.equal('unchanged')
      const other = { ...endpoint, mac: mac(4), mtu: 1280 }
      expect(await bench.dataplane.restoreEndpoint('o1', other)).to.equal('repaired')
      expect((await dumped()).endpoints).to.deep.equal([actualOf(other, true)])
    })

    it('stays as it is while it is in a container, and can be removed from there and from here', async () => {
      await bench.dataplane.ensureOverlay(links)
      const { sourceName } = await bench.dataplane.ensureEndpoint('o1', endpoint)
      for (const from of ['sandbox', 'hostNetns'] as const) {
        await bench.dataplane.ensureEndpoint('o1', endpoint)
        await bench.moveEndpoint(sourceName, 'o1', 'e1', 'sandbox')
        expect((await dumped()).endpoints).to.deep.equal([actualOf(endpoint, false)])
        const again = await bench.dataplane.ensureEndpoint('o1', endpoint)
        expect(again).to.deep.equal({ sourceName, changed: [] })
        if (from === 'hostNetns') await bench.moveEndpoint(sourceName, 'o1', 'e1', 'hostNetns')
        await bench.dataplane.removeEndpoint('o1', 'e1')
        await bench.dataplane.removeEndpoint('o1', 'e1')
        expect((await dumped()).endpoints).to.deep.equal([])
      }
    })
  })

  describe('rows', () => {
    beforeEach(async () => {
      await bench.dataplane.ensureOverlay(links)
    })

    it('are set, replaced and removed, however often', async () => {
      const v6: RowChange = { op: 'set', kind: 'neighbour', ip: 'fd00:20::9' as Ip, mac: mac(9) }
      const sets = [fdb('set', 9, 7), neighbour('set', 9, 9), v6, fdb('set', 10, 7)]
      for (let round = 0; round < 2; round++)
        expect(await bench.dataplane.apply('o1', sets)).to.deep.equal([])
      expect(await bench.rows('o1')).to.deep.equal({
        fdb: [`${mac(9)} ${remote(7)}`, `${mac(10)} ${remote(7)}`],
        neighbours: [`${ip(9)} ${mac(9)}`, `fd00:20::9 ${mac(9)}`],
      })
      expect(
        await bench.dataplane.apply('o1', [fdb('set', 9, 8), neighbour('set', 9, 10)]),
      ).to.deep.equal([])
      expect(await bench.rows('o1')).to.deep.equal({
        fdb: [`${mac(9)} ${remote(8)}`, `${mac(10)} ${remote(7)}`],
        neighbours: [`${ip(9)} ${mac(10)}`, `fd00:20::9 ${mac(9)}`],
      })
      const removes = [
        fdb('remove', 9, 8),
        neighbour('remove', 9, 10),
        { ...v6, op: 'remove' as const },
      ]
      for (let round = 0; round < 2; round++)
        expect(await bench.dataplane.apply('o1', removes)).to.deep.equal([])
      expect(await bench.rows('o1')).to.deep.equal({
        fdb: [`${mac(10)} ${remote(7)}`],
        neighbours: [],
      })
      const { fdb: entries } = await dumped()
      expect(entries).to.deep.equal([{ mac: mac(10), vtep: remote(7) }])
    })

    it('leaves an FDB entry for another VTEP alone', async () => {
      await bench.dataplane.apply('o1', [fdb('set', 9, 7), fdb('remove', 9, 8)])
      expect((await bench.rows('o1')).fdb).to.deep.equal([`${mac(9)} ${remote(7)}`])
    })

    it('need their overlay', async () => {
      const error = await refusalOf(bench.dataplane.apply('never', [fdb('set', 9, 7)]))
      expect(error).to.include({ code: 'KERNEL', kind: 'failure' })
    })

    it('fail each for itself, and are named', async () => {
      const bad = (n: number): RowChange => ({
        op: 'set',
        kind: 'fdb',
        mac: mac(n),
        vtep: 'fd00::1' as Ip,
      })
      const sets = Array.from({ length: 1500 }, (_, i) => fdb('set', i + 2, 7))
      sets[3] = bad(5)
      sets[1200] = bad(1202)
      const failed = await bench.dataplane.apply('o1', sets)
      expect(failed.map(({ change }) => change)).to.deep.equal([bad(5), bad(1202)])
      for (const { error } of failed) expect(error).to.include('EAFNOSUPPORT')
      expect((await bench.rows('o1')).fdb).to.have.length(1498)
    })

    it('come by the thousand', async () => {
      const numbers = Array.from({ length: 2500 }, (_, i) => i + 2)
      const sets = numbers.flatMap((n) => [fdb('set', n, 1 + (n % 200)), neighbour('set', n, n)])
      expect(await bench.dataplane.apply('o1', sets)).to.deep.equal([])
      const actual = await dumped()
      expect(actual.fdb).to.have.length(2500)
      expect(new Map(actual.neighbours.map((row) => [row.ip, row.mac])).get(ip(2000))).to.equal(
        mac(2000),
      )
      await bench.dataplane.apply(
        'o1',
        sets.map((change) => ({ ...change, op: 'remove' as const })),
      )
      expect(await bench.rows('o1')).to.deep.equal({ fdb: [], neighbours: [] })
    })
  })

  it("tells the underlay's MTU, and refuses an address that the host has not", async () => {
    expect(await bench.dataplane.underlayMtu(bench.vtep)).to.equal(bench.underlayMtu)
    const error = await refusalOf(bench.dataplane.underlayMtu('192.0.2.254' as Ip))
    expect(error.code).to.equal('BAD_SETTING')
  })
}
