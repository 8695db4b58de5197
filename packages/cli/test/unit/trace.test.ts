import { expect } from 'chai'
import type { Ends } from '../../src/trace/ends.ts'
import { firstWrong, hopsOf } from '../../src/trace/hops.ts'
import { goodSnapshot } from './diagnosis-fixture.ts'

/** What of a snapshot is another one: elements of lists by index. */
type Change = object

/** `value` with what `change` has in its place; elements of lists by index. */
function changed<T>(value: T, change: unknown): T {
  if (typeof change !== 'object' || change === null || Array.isArray(change)) return change as T
  const copy = structuredClone(value) as Record<string, unknown>
  for (const [key, part] of Object.entries(change)) copy[key] = changed(copy[key], part)
  return (Array.isArray(value) ? Object.values(copy) : copy) as T
}

const ends = {
  overlayId: 'net',
  from: { host: 'one', ip: '10.1.0.2', name: 'web (10.1.0.2)' },
  to: { host: 'two', ip: '10.1.0.3', name: 'db (10.1.0.3)' },
}
const hops = (one: Change = {}, two: Change = {}, given: Ends = ends) =>
  hopsOf(given, { one: changed(goodSnapshot(1), one), two: changed(goodSnapshot(2), two) })
const port = (change: object): Change => ({
  overlay: { endpoints: { 0: { port: change } } },
})
const text = (found: ReturnType<typeof hops>): string => {
  const wrong = firstWrong(found)
  return wrong === null ? 'none' : `${wrong.host}, ${wrong.what}: ${wrong.found}`
}

describe('a trace', () => {
  it('walks to the other container and back', () => {
    expect(hops().map(({ host, what }) => `${host} ${what}`)).to.deep.equal([
      'one link of web (10.1.0.2)',
      'one filter of web (10.1.0.2)',
      'one fast path of web (10.1.0.2)',
      'one neighbour row',
      'one FDB row',
      'one bridge',
      'one VXLAN device',
      'one underlay',
      'two tunnel filter',
      'two VXLAN device',
      'two bridge',
      'two link of db (10.1.0.3)',
      'two filter of db (10.1.0.3)',
      'two fast path of db (10.1.0.3)',
      'two neighbour row',
      'two FDB row',
      'two underlay',
      'one tunnel filter',
    ])
    expect(text(hops())).to.equal('none')
  })

  const blocked = { other: { path: { state: 'blocked', bytes: null } } } as const
  const table: [string, Change, Change, string][] = [
    ['no start', { overlay: { endpoints: { 0: { joined: false } } } }, {}, 'has not started'],
    ['no veth pair', { overlay: { endpoints: { 0: { port: null } } } }, {}, 'veth pair is gone'],
    ['a link that the engine left', port({ inHostNetns: true }), {}, 'was not moved'],
    [
      'a port that is down',
      port({ up: false }),
      {},
      'one, link of web (10.1.0.2): the bridge’s end is down',
    ],
    [
      'a container’s end down',
      {},
      port({ carrier: false }),
      'two, link of db (10.1.0.3): the container’s end',
    ],
    ['a port off the bridge', port({ configured: false }), {}, 'not on the bridge as it has to be'],
    [
      'another MAC',
      port({ mac: null }),
      {},
      'the bridge has no MAC behind it, not 02:42:0a:01:00:02',
    ],
    ['a filter', port({ allowed: ['10.1.0.9'] }), {}, 'lets it send only from 10.1.0.9'],
    [
      'the far filter',
      {},
      port({ allowed: [] }),
      'two, filter of db (10.1.0.3): the filter lets it send from no',
    ],
    ['no record', { claims: [] }, {}, 'one, record of 10.1.0.3: no member claims'],
    ['another’s record', { claims: { 0: { member: 'three' } } }, {}, 'three claims it, too'],
    [
      'no neighbour row',
      { overlay: { neighbours: [] } },
      {},
      'one, neighbour row: none for 10.1.0.3',
    ],
    [
      'a wrong FDB row',
      { overlay: { fdb: { 0: { vtep: '192.0.2.9' } } } },
      {},
      'is behind 192.0.2.9, not behind 192.0.2.2',
    ],
    ['the far FDB row', {}, { overlay: { fdb: [] } }, 'two, FDB row: none for 02:42:0a:01:00:02'],
    ['no bridge', { overlay: { links: { bridge: null } } }, {}, 'one, bridge: br0 is gone'],
    ['no namespace', {}, { overlay: { links: null } }, 'two, VXLAN device: vxlan0 is gone'],
    [
      'a VXLAN device of another VNI',
      { overlay: { links: { vxlan: { vni: 5 } } } },
      {},
      'one, VXLAN device: VNI 5',
    ],
    [
      'VNIs that differ',
      {},
      { overlay: { vni: 5, links: { vxlan: { vni: 5 } } } },
      'one, VXLAN device: VNI 77, two has 5',
    ],
    [
      'MTUs that differ',
      {},
      { overlay: { mtu: 1400 } },
      'one, VXLAN device: MTU 1450, two has 1400',
    ],
    ['a dead host', { other: { state: 'dead' } }, {}, 'one, underlay: two does not answer gossip'],
    ['no route', { other: { route: null } }, {}, 'one, underlay: no route to 192.0.2.2'],
    [
      'a link of the host down',
      { other: { route: { carrier: false } } },
      {},
      'one, underlay: eth0 is down',
    ],
    ['a firewall', blocked, blocked, 'VXLAN passes in neither direction'],
    [
      'the far bridge, not what it breaks',
      blocked,
      { ...blocked, overlay: { links: { bridge: { up: false } } } },
      'two, bridge: br0 is down',
    ],
    [
      'a filter of tunnels',
      {},
      { other: { admitted: false } },
      'two, tunnel filter: 192.0.2.1 is not admitted',
    ],
    [
      'the near one',
      { other: { admitted: false } },
      {},
      'one, tunnel filter: 192.0.2.2 is not admitted',
    ],
    ['no network there', {}, { overlay: null }, 'two, network: no network of the overlay net'],
  ]
  for (const [name, one, two, expected] of table)
    it(`names ${name}`, () => expect(text(hops(one, two))).to.include(expected))

  it('names a host that does not answer', () => {
    const found = hopsOf(ends, { one: goodSnapshot(1), two: null })
    expect(text(found)).to.equal('two, plugin: does not answer')
  })

  it('walks between hosts without rows of containers, and on one host without a tunnel', () => {
    const hosts = { ...ends, from: { ...ends.from, ip: null }, to: { ...ends.to, ip: null } }
    const whats = hops({}, {}, hosts).map(({ what }) => what)
    expect(whats).to.include('underlay').and.to.not.include('FDB row')
    const here = { ...ends, to: { ...ends.from, ip: '10.1.0.3' } }
    expect(text(hops({}, {}, here))).to.include('no container has 10.1.0.3')
  })
})
