import { expect } from 'chai'
import { goodHost, goodPing } from './diagnosis-fixture.ts'
import { checksOf } from '../../src/doctor.ts'
import { pingTroubles } from '../../src/ping.ts'
import type { Status } from '../../src/status-view.ts'

const status = {
  member: 'one',
  members: [],
  overlays: [],
  orphans: { waiting: [], released: {} },
  consensus: { leader: 'one', voters: ['one'], missing: [] },
  findings: { list: [], unlisted: 0 },
} as unknown as Status

const check = ({ two = {}, facts = {}, rest = {}, also = {} }: Record<string, object>) => {
  const host = goodHost(2)
  const changed = { ...host, ...two, facts: { ...host.facts!, ...facts } }
  const hosts = { one: goodHost(1), two: changed }
  const checks = checksOf({
    status: { ...status, ...rest },
    hosts,
    pings: [goodPing()],
    plugins: ['other:latest'],
    ...also,
  })
  return checks.filter(({ level }) => level !== 'ok')
}

describe('the doctor', () => {
  it('finds nothing where all is well', () => expect(check({})).to.deep.equal([]))

  const sysctls = (change: object) => ({
    facts: { sysctls: { ...goodHost(2).facts!.sysctls, ...change } },
  })
  const table: [string, Record<string, object>, level: string, RegExp][] = [
    [
      'a full neighbour table',
      { facts: { neighbours: { entries: 900, fulls: 0 } } },
      'wrong',
      /gc_thresh3=4096/,
    ],
    [
      'one that was full',
      { facts: { neighbours: { entries: 1, fulls: 2 } } },
      'warning',
      /gc_thresh1=1024/,
    ],
    [
      'one that is too small for the containers',
      { two: { networks: [{ overlayId: 'net', mtu: 1450, endpoints: 50, peers: 200 }] } },
      'warning',
      /containers may need 12500.*gc_thresh3=32768/,
    ],
    [
      'a short receive queue',
      sysctls({ 'net.core.netdev_max_backlog': 300 }),
      'warning',
      /netdev_max_backlog=4000/,
    ],
    [
      'a full table of connections',
      sysctls({ 'net.netfilter.nf_conntrack_count': 900 }),
      'wrong',
      /nf_conntrack_max=2000/,
    ],
    ['drops', { facts: { backlogDrops: 4 } }, 'warning', /4 packets dropped.*netdev_max_backlog/],
    [
      'checksums',
      { facts: { udp: { bufferDrops: 0, checksumErrors: 3 } } },
      'warning',
      /ethtool -K/,
    ],
    ['a link’s driver', { facts: { driver: 'vmxnet3' } }, 'warning', /vmxnet3.*VXLAN_PORT/],
    [
      'no fast path',
      { two: { features: { filter: 'on', noFastPath: 'no BPF' } } },
      'warning',
      /no BPF/,
    ],
    [
      'no filter',
      { two: { features: { filter: 'unsupported', noFastPath: null } } },
      'warning',
      /modprobe nf_tables/,
    ],
    [
      'an engine that is away',
      { two: { engine: { connected: false, apiVersion: null, failure: 'ENOENT' } } },
      'wrong',
      /ENOENT.*ENGINE_SOCKET/,
    ],
    ['leftovers', { two: { leftovers: ['old'] } }, 'warning', /networks that are gone: old/],
    [
      'an MTU with no room',
      { two: { underlayMtu: 1400 } },
      'wrong',
      /1400 of the underlay leaves no room/,
    ],
    ['a clock', { two: { skewMs: -7000 } }, 'wrong', /-7\.0 s.*timedatectl/],
    ['versions', { two: { version: '1.2.4' } }, 'warning', /1\.2\.3, 1\.2\.4/],
    [
      'two containers of one name',
      {
        rest: {
          overlays: [
            {
              overlayId: 'net',
              endpoints: [{ names: ['web'] }],
              peers: [{ member: 'two', names: ['web'] }],
            },
          ],
        },
      },
      'warning',
      /web is on net 2 times/,
    ],
    [
      'what the store may release',
      { rest: { orphans: { waiting: [{ kind: 'pool' }] } } },
      'warning',
      /1 of the kind pool/,
    ],
    [
      'an alias that the engine cannot resolve',
      { also: { plugins: ['ts-overlay:latest'] } },
      'wrong',
      /could not resolve driver.*without --alias/,
    ],
    [
      'a finding',
      { rest: { findings: { list: [{ text: 'it is broken', remedy: 'mend it' }] } } },
      'wrong',
      /it is broken mend it/,
    ],
  ]
  for (const [name, change, level, expected] of table)
    it(`finds ${name}`, () => {
      const found = check(change).filter(
        ({ what }) => name !== 'an MTU with no room' || what === 'MTU',
      )
      const texts = found.map(({ found: text, remedy }) => `${text} ${remedy!}`)
      expect(found.map((one) => one.level)).to.include(level)
      expect(texts.join('\n')).to.match(expected)
    })

  it('finds ports that are closed, and hosts that do not answer', () => {
    const lost = { ...goodPing(), gossip: { ...goodPing().gossip, tcp: { sent: 5, rttMs: [] } } }
    const checks = checksOf({ status, hosts: { two: null }, pings: [lost], plugins: null })
    const texts = checks.filter(({ level }) => level === 'wrong').map(({ found }) => found)
    expect(texts).to.deep.equal(['does not answer', 'gossip by TCP with two does not work'])
  })
})

describe('a ping', () => {
  const [all, some, none] = [5, 3, 0].map((n) => ({ sent: 5, rttMs: [1, 1, 1, 1, 1].slice(0, n) }))
  const tunnel = (small: typeof all, full: typeof all, largestBytes: number | null) => ({
    ...goodPing(),
    vxlan: [{ ...goodPing().vxlan[0]!, small: small!, full: full!, largestBytes }],
  })
  const texts = (report: ReturnType<typeof goodPing>) =>
    pingTroubles(report).map(({ text }) => text)

  it('says what is lost, and how large packets may be', () => {
    expect(texts(goodPing())).to.deep.equal([])
    expect(texts(tunnel(none, none, null))).to.deep.equal(['VXLAN of net with two does not work'])
    expect(texts(tunnel(some, all, 1450))).to.deep.equal([
      'VXLAN of net with two loses packets: 2 of 5',
    ])
    expect(texts(tunnel(all, none, 1350))).to.deep.equal([
      'packets of 1450 bytes on net do not reach two, at most 1350 bytes do',
    ])
  })
})
