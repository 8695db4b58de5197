import type { PageView } from '../../src/admin/page-view.ts'

/** What the page is drawn from, of a cluster of that size in which all is well. */
export function pageFixture(hosts: number, containers: number): PageView {
  const networks = ['shop', 'db', 'metrics', 'build', 'mail', 'cache', 'edge', 'lab']
  const hostList = Array.from({ length: hosts }, (_, index) => ({
    name: `host-${index + 1}`,
    address: `192.0.2.${index + 1}`,
    state: 'alive' as const,
    restarting: false,
    since: '2026-01-01T00:00:00.000Z',
    rttMs: 0.4,
    version: '0.1.0',
  }))
  const everywhere = hostList.map((_, index) => index)
  return {
    version: '0.1.0',
    here: 0,
    hosts: hostList,
    networks: networks.map((name, index) => ({
      id: `10.${index + 1}.0.0/16`,
      name,
      vni: 4097 + index,
      mtu: 1450,
      encrypted: name === 'db',
      subnets: [`10.${index + 1}.0.0/16`],
      hosts: everywhere,
    })),
    containers: Array.from({ length: containers }, (_, index) => {
      const network = (index * 7 + Math.floor(index / hosts)) % networks.length
      return {
        id: index.toString(16).padStart(16, '0'),
        host: index % hosts,
        network,
        names: [`${networks[network]}-${index + 1}`],
        ips: [`10.${network + 1}.${index >> 8}.${index & 255}`],
        mac: `02:42:0a:00:${hex(index >> 8)}:${hex(index & 255)}`,
      }
    }),
    paths: everywhere.slice(1).map((to) => {
      return { from: 0, to, state: 'up', rttMs: 0.5, bytes: 1450 }
    }),
    findings: [],
    omitted: {},
  }
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}
