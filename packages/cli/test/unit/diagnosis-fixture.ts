import type { AskedHost, PingReport } from '../../../../src/wiring/diagnosis/diagnosis.ts'
import type { HostSnapshot } from '../../../../src/wiring/diagnosis/snapshot.ts'
import type { Ip } from '../../../../src/net/ip.ts'
import type { Mac } from '../../../../src/net/mac.ts'
import type { Vni } from '../../../../src/net/vni.ts'

/** The hosts one and two: 192.0.2.1 and 192.0.2.2, with 10.1.0.2 and 10.1.0.3. */
export type HostNumber = 1 | 2

const up = { up: true, carrier: true, mtu: 1450 }
const macOf = (n: HostNumber): Mac => `02:42:0a:01:00:0${n + 1}` as Mac
const ipOf = (n: HostNumber): Ip => `10.1.0.${n + 1}` as Ip
const vtepOf = (n: HostNumber): Ip => `192.0.2.${n}` as Ip
const nameOf = (n: HostNumber): string => (n === 1 ? 'one' : 'two')

/** What a host has when all is as it should be. */
export function goodSnapshot(n: HostNumber) {
  const other = n === 1 ? 2 : 1
  return {
    member: nameOf(n),
    vtep: vtepOf(n),
    overlay: {
      vni: 77,
      mtu: 1450,
      port: 4789,
      encrypted: false,
      links: {
        bridge: up,
        vxlan: { ...up, vni: 77 as Vni, vtep: vtepOf(n), port: 4789 },
        ports: {},
        tunnelDrops: 0,
      },
      filtered: true,
      endpoints: [
        {
          endpointId: `e${n}`,
          ips: [ipOf(n)],
          mac: macOf(n),
          joined: true,
          port: {
            ...up,
            mac: macOf(n),
            allowed: [ipOf(n)],
            configured: true,
            inHostNetns: false,
            pastBridge: 5,
          },
        },
      ],
      fdb: [{ mac: macOf(other), vtep: vtepOf(other) }],
      neighbours: [{ ip: ipOf(other), mac: macOf(other) }],
      dropped: {},
      noFastPath: null,
    },
    claims: [
      {
        ip: ipOf(other),
        member: nameOf(other),
        vtep: vtepOf(other),
        mac: macOf(other),
        live: true,
      },
    ],
    other: {
      state: 'alive',
      route: { device: 'eth0', ...up, mtu: 1500 },
      path: { state: 'up', rttMs: 0.4, bytes: 1450 },
      admitted: true,
    },
  } satisfies HostSnapshot
}

export function goodPing(): PingReport {
  const series = { sent: 5, rttMs: [0.4, 0.5, 0.6, 0.5, 0.5] }
  return {
    member: 'two',
    address: '192.0.2.2',
    state: 'alive',
    gossip: { udp: series, tcp: series },
    vxlan: [
      {
        overlayId: 'net',
        vtep: '192.0.2.2',
        mtu: 1450,
        small: series,
        full: series,
        largestBytes: 1450,
      },
    ],
  }
}

export function goodHost(n: HostNumber): AskedHost {
  return {
    member: nameOf(n),
    version: '1.2.3',
    wallMs: 0,
    features: { filter: 'on', noFastPath: null },
    facts: {
      kernel: '6.12.1',
      sysctls: {
        'net.ipv4.neigh.default.gc_thresh3': 1024,
        'net.core.netdev_max_backlog': 1000,
        'net.netfilter.nf_conntrack_count': 10,
        'net.netfilter.nf_conntrack_max': 1000,
      },
      neighbours: { entries: 10, fulls: 0 },
      backlogDrops: 0,
      udp: { bufferDrops: 0, checksumErrors: 0 },
      driver: null,
    },
    underlayMtu: 1500,
    vxlanPort: 4789,
    networks: [{ overlayId: 'net', mtu: 1450, endpoints: 2, peers: 3 }],
    leftovers: [],
    engine: { connected: true, apiVersion: '1.51', failure: null },
    skewMs: 3,
    skewErrorMs: 1,
  }
}
