import { expect } from 'chai'
import fc from 'fast-check'
import type { EndpointLink, RowChange } from '../../../../src/dataplane/dataplane.ts'
import { MemoryDataplane } from '../../../../src/dataplane/memory/memory-dataplane.ts'
import {
  type Rows,
  addressesOf,
  defaultDestination,
  desiredRows,
  diff,
} from '../../../../src/dataplane/reconcile/desired-rows.ts'
import { cidrOf, parseCidr } from '../../../../src/net/cidr.ts'
import type { Peer } from '../../../../src/net/endpoint.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import type { Mac } from '../../../../src/net/mac.ts'
import { Peers, comparePeers } from '../../../../src/peers/peers.ts'
import {
  arbitraryHistory,
  ipOf,
  macOf,
  peer,
  survivors,
  vniOf,
  vtepOf,
} from '../../../support/peer-histories.ts'

const arbitraryRows: fc.Arbitrary<Rows> = fc.record({
  fdb: fc.uniqueArray(
    fc.record({
      mac: fc.integer({ min: 1, max: 5 }).map(macOf),
      vtep: fc.integer({ min: 1, max: 3 }).map(vtepOf),
    }),
    { selector: ({ mac }) => mac },
  ),
  neighbours: fc.uniqueArray(
    fc.record({
      ip: fc.integer({ min: 1, max: 5 }).map(ipOf),
      mac: fc.integer({ min: 1, max: 3 }).map(macOf),
    }),
    { selector: ({ ip }) => ip },
  ),
})

/** As another program may leave it: a MAC with several VTEPs. */
const arbitraryMess: fc.Arbitrary<Rows> = fc.tuple(arbitraryRows, arbitraryRows).map(([a, b]) => ({
  fdb: [...a.fdb, ...b.fdb.filter((x) => !a.fdb.some((y) => y.mac === x.mac && y.vtep === x.vtep))],
  neighbours: a.neighbours,
}))

async function kernelWith(rows: Rows): Promise<MemoryDataplane> {
  const kernel = new MemoryDataplane()
  const links = {
    overlayId: 'o',
    vni: vniOf(1),
    mtu: 1450,
    vtep: vtepOf(9),
    port: 4789,
    gateways: [],
  }
  await kernel.ensureOverlay(links)
  const { fdb, neighbours } = kernel.overlay('o')!
  for (const { mac, vtep } of rows.fdb) fdb.set(mac, [...(fdb.get(mac) ?? []), vtep])
  for (const { ip, mac } of rows.neighbours) neighbours.set(ip, mac)
  return kernel
}

const addressOf = (change: RowChange): string => (change.kind === 'fdb' ? change.mac : change.ip)

describe('diff', () => {
  it('turns any kernel into the desired one', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryRows, arbitraryMess, async (desired, mess) => {
        const kernel = await kernelWith(mess)
        const before = (await kernel.dump('o'))!
        await kernel.apply('o', diff(desired, before))
        const after = (await kernel.dump('o'))!
        expect(after.fdb).to.have.deep.members(desired.fdb)
        expect(after.neighbours).to.have.deep.members(desired.neighbours)
        expect(diff(desired, after)).to.deep.equal([])
      }),
    )
  })

  it('sets before it removes, and never removes an address that it sets', () => {
    fc.assert(
      fc.property(arbitraryRows, arbitraryRows, (desired, actual) => {
        const changes = diff(desired, actual)
        const firstRemove = changes.findIndex(({ op }) => op === 'remove')
        const sets = changes.filter(({ op }) => op === 'set')
        if (firstRemove >= 0) expect(firstRemove).to.equal(sets.length)
        const wanted = new Set(sets.map(addressOf))
        for (const change of changes.slice(sets.length))
          expect(wanted).to.not.include(addressOf(change))
      }),
    )
  })

  it('gives the default destination any number of VTEPs', async () => {
    const arbitraryCopies = fc.uniqueArray(fc.integer({ min: 1, max: 5 }).map(vtepOf))
    await fc.assert(
      fc.asyncProperty(arbitraryCopies, arbitraryCopies, async (wanted, there) => {
        const rows = (vteps: readonly Ip[]): Rows => ({
          fdb: vteps.map((vtep) => ({ mac: defaultDestination, vtep })),
          neighbours: [],
        })
        const kernel = await kernelWith(rows(there))
        const changes = diff(rows(wanted), rows(there))
        const differing = new Set(wanted).symmetricDifference(new Set(there))
        expect(changes.length).to.equal(differing.size)
        await kernel.apply('o', changes)
        expect((await kernel.dump('o'))!.fdb).to.have.deep.members(rows(wanted).fdb)
      }),
    )
  })

  it('is as small as can be', () => {
    fc.assert(
      fc.property(arbitraryRows, arbitraryRows, (desired, actual) => {
        const has = (rows: Rows, change: RowChange): boolean =>
          change.kind === 'fdb'
            ? rows.fdb.some((row) => row.mac === change.mac && row.vtep === change.vtep)
            : rows.neighbours.some((row) => row.ip === change.ip && row.mac === change.mac)
        for (const change of diff(desired, actual)) {
          expect(has(desired, change)).to.equal(change.op === 'set')
          expect(has(actual, change)).to.equal(change.op === 'remove')
        }
      }),
    )
  })
})

describe('desired rows', () => {
  const arbitraryLocal: fc.Arbitrary<EndpointLink[]> = fc.array(
    fc.record({
      endpointId: fc.constant('l'),
      mac: fc.integer({ min: 1, max: 3 }).map(macOf),
      mtu: fc.constant(1450),
      addresses: fc.uniqueArray(
        fc.integer({ min: 1, max: 4 }).map((n) => ({ ip: ipOf(n), cidr: cidrOf(ipOf(n), 16) })),
        { maxLength: 2, selector: ({ ip }) => ip },
      ),
      sandboxKey: fc.constant(null),
    }),
    { maxLength: 1 },
  )

  it('are the first claims of live peers on other hosts, for what is not on this one', () => {
    fc.assert(
      fc.property(arbitraryHistory, arbitraryLocal, (history, local) => {
        const table = new Peers()
        table.apply(history)
        const view = {
          vni: vniOf(1),
          vtep: vtepOf(1),
          endpoints: new Map(local.map((e, i) => [`${i}`, e])),
          gateways: new Set<Ip>(),
          subnets: [],
        }
        const here = addressesOf(local)
        const eligible = survivors(history)
          .filter((p) => p.vni === view.vni && p.live && p.vtep !== view.vtep)
          .sort(comparePeers)
        const fdb = [...new Set(eligible.map((p) => p.mac))]
          .filter((mac) => !here.macs.has(mac))
          .map((mac) => ({ mac, vtep: eligible.find((p) => p.mac === mac)!.vtep }))
        const neighbours = [...new Set(eligible.flatMap((p) => p.ips))]
          .filter((ip) => !here.ips.has(ip))
          .map((ip) => ({ ip, mac: eligible.find((p) => p.ips.includes(ip))!.mac }))
        const rows = desiredRows(table, view, table.addresses(view.vni))
        expect(rows.fdb).to.have.deep.members(fdb)
        expect(rows.neighbours).to.have.deep.members(neighbours)
        for (const { vtep } of rows.fdb) expect(vtep).to.not.equal(view.vtep)
        const some = { ips: [ipOf(2)], macs: [macOf(1)] }
        expect(desiredRows(table, view, some)).to.deep.equal({
          fdb: rows.fdb.filter(({ mac }) => mac === macOf(1)),
          neighbours: rows.neighbours.filter(({ ip }) => ip === ipOf(2)),
        })
      }),
    )
  })

  it('have with multicast each VTEP of a live peer on another host as default destination', () => {
    fc.assert(
      fc.property(arbitraryHistory, fc.boolean(), (history, multicast) => {
        const table = new Peers()
        table.apply(history)
        const [vni, vtep, gateways] = [vniOf(1), vtepOf(1), new Set<Ip>()]
        const view = { vni, vtep, endpoints: new Map(), gateways, subnets: [], multicast }
        const live = survivors(history).filter((p) => p.vni === vni && p.live && p.vtep !== vtep)
        const wanted = multicast ? [...new Set(live.map((p) => p.vtep))] : []
        const { fdb } = desiredRows(table, view, { ips: [], macs: [defaultDestination] })
        expect(fdb.map((row) => row.vtep)).to.have.members(wanted)
        expect(fdb.every(({ mac }) => mac === defaultDestination)).to.equal(true)
      }),
    )
  })

  it('lead only to hosts that encrypt the overlay as this one does', () => {
    const [vni, vtep] = [vniOf(1), vtepOf(1)]
    const table = new Peers()
    const plain = peer({ origin: 'plain', vtep: vtepOf(2), mac: macOf(2), ips: [ipOf(2)] })
    const other = peer({ origin: 'other', vtep: vtepOf(3), mac: macOf(3), ips: [ipOf(3)] })
    for (const next of [plain, { ...other, encrypted: true as const }])
      table.apply([{ previous: null, next }])
    const view = { vni, vtep, endpoints: new Map(), gateways: new Set<Ip>(), subnets: [] }
    for (const [encrypted, { mac, ips, vtep: there }] of [
      [false, plain] as const,
      [true, other] as const,
    ])
      expect(desiredRows(table, { ...view, encrypted }, table.addresses(vni))).to.deep.equal({
        fdb: [{ mac, vtep: there }],
        neighbours: [{ ip: ips[0], mac }],
      })
  })

  it('are not made from claims that no host can have, and the next claim counts', () => {
    const view = {
      vni: vniOf(1),
      vtep: vtepOf(1),
      endpoints: new Map(),
      gateways: new Set<Ip>(),
      subnets: [],
    }
    const good = peer({ origin: 'good', vtep: vtepOf(2), claimedAt: 1 })
    const rowsWith = (claim: Partial<Peer>) => {
      const table = new Peers()
      for (const next of [good, peer({ origin: 'bad', vtep: vtepOf(3), claimedAt: 2, ...claim })])
        table.apply([{ previous: null, next }])
      return desiredRows(table, view, table.addresses(view.vni))
    }
    const wanted = {
      fdb: [{ mac: good.mac, vtep: good.vtep }],
      neighbours: [{ ip: good.ips[0], mac: good.mac }],
    }
    const noVteps = ['0.0.0.0', '127.0.0.1', '224.0.0.1', '239.9.9.9', '255.255.255.255']
    for (const vtep of [...noVteps, '::', '::1', 'ff02::1', '2001:db8::1'] as Ip[])
      expect(rowsWith({ vtep }), vtep).to.deep.equal(wanted)
    for (const mac of ['01:00:5e:00:00:01', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00'] as Mac[])
      expect(rowsWith({ mac }), mac).to.deep.equal(wanted)
    for (const ip of ['224.0.0.1', '0.0.0.0', 'ff02::1'] as Ip[])
      expect(rowsWith({ ips: [ip], mac: macOf(2) }).neighbours, ip).to.deep.equal(wanted.neighbours)
    const elsewhere = { ...view, subnets: [parseCidr('198.51.100.0/24')!, parseCidr('fd00::/64')!] }
    const table = new Peers()
    table.apply([{ previous: null, next: good }])
    expect(desiredRows(table, elsewhere, table.addresses(view.vni)).neighbours).to.deep.equal([])
    expect(rowsWith({}).fdb, 'a good one').to.deep.equal([{ mac: good.mac, vtep: vtepOf(3) }])
  })
})
