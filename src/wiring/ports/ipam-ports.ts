import type { Cluster } from '../../cluster/cluster.ts'
import type { Driver } from '../../driver/driver.ts'
import type { Peer } from '../../net/endpoint.ts'
import type { Ip } from '../../net/ip.ts'
import type { Vni } from '../../net/vni.ts'
import type { IpamCluster } from '../../ipam/ports.ts'
import { overlayRecord, poolRecord } from '../records.ts'

/** The channel of requests between members' address management. */
const channel = 'ipam'

/** Only the key of a swarm's pool matters to others. */
const nothingSetAside = { gateway: null, reserved: [], auto: false, since: 0 } as const

/** What address management asks of the rest of this host. */
interface Neighbours {
  readonly networks: () => ReturnType<Driver['networks']>
  readonly peersWithIp: (vni: Vni, ip: Ip) => readonly Peer[]
}

/** The cluster as our address management sees it. */
export function ipamCluster(cluster: Cluster, self: string, neighbours: Neighbours): IpamCluster {
  return {
    self,
    *members() {
      for (const { name, state } of cluster.members()) if (state !== 'left') yield { name, state }
    },
    ask: (member, message, timeoutMs) => cluster.request(member, channel, message, { timeoutMs }),
    onAsk: (handler) => cluster.handle(channel, handler),
    publishSwarmPool: (poolKey) => cluster.put(poolRecord, { poolKey, ...nothingSetAside }),
    withdrawSwarmPool: (poolKey) => cluster.remove(poolRecord, poolKey),
    *swarmPools() {
      for (const { record } of cluster.records(poolRecord, { hidden: true })) yield record.poolKey
    },
    claimants: (poolKey, ip) => {
      const peers = [...vnisOf(cluster, neighbours, poolKey)].flatMap((vni) =>
        neighbours.peersWithIp(vni, ip),
      )
      return peers.map(({ origin, vtep, live }) => ({ member: origin, address: vtep, live }))
    },
  }
}

/**
 * The overlays that a pool's addresses are on: the one of the network it is bound to here or,
 * before there is one, those that other members attached to it.
 */
function vnisOf(cluster: Cluster, neighbours: Neighbours, poolKey: string): Set<Vni> {
  const bound = neighbours.networks().find((network) => network.poolKeys.includes(poolKey))
  if (bound !== undefined) return new Set([bound.vni])
  const [, overlay] = poolKey.split(' ')
  const vnis = new Set<Vni>()
  for (const { record } of cluster.records(overlayRecord))
    if (record.overlayId === poolKey || record.overlayId === overlay) vnis.add(record.vni)
  return vnis
}
