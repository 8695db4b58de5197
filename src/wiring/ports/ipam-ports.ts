import type { Cluster } from '../../cluster/cluster.ts'
import type { AnyRecord } from '../../cluster/wire/record-type.ts'
import type { Driver } from '../../driver/driver.ts'
import type { Peer } from '../../net/endpoint.ts'
import type { Ip } from '../../net/ip.ts'
import type { Vni } from '../../net/vni.ts'
import type { IpamCluster } from '../../ipam/ports.ts'
import { blockRecord, overlayRecord, poolRecord } from '../records.ts'

/** The channel of requests between members' address management. */
const channel = 'ipam'

/** What address management asks of the rest of this host. */
interface Neighbours {
  readonly networks: () => ReturnType<Driver['networks']>
  readonly peersWithIp: (vni: Vni, ip: Ip) => readonly Peer[]
}

/** The cluster as our address management sees it. */
export function ipamCluster(cluster: Cluster, self: string, neighbours: Neighbours): IpamCluster {
  return {
    self,
    synced: () => cluster.synced(),
    *voters() {
      for (const { name, state } of cluster.members()) if (state !== 'left') yield { name, state }
    },
    ask: (member, message, timeoutMs) => cluster.request(member, channel, message, { timeoutMs }),
    onAsk: (handler) => cluster.handle(channel, handler),
    *blocks(poolKey) {
      for (const { origin, visible, record } of cluster.records(blockRecord, { hidden: true }))
        if (poolKey === undefined || record.poolKey === poolKey)
          yield { ...record, owner: origin, alive: visible }
    },
    publishBlock: (block) => cluster.put(blockRecord, block),
    withdrawBlock: ({ poolKey, index }) => cluster.remove(blockRecord, `${index} ${poolKey}`),
    *pools() {
      for (const { origin, visible, record } of cluster.records(poolRecord, { hidden: true }))
        yield { ...record, member: origin, alive: visible }
    },
    publishPool: (pool) => cluster.put(poolRecord, pool),
    withdrawPool: (poolKey) => cluster.remove(poolRecord, poolKey),
    holderOf: (poolKey, ip) => {
      for (const vni of vnisOf(cluster, neighbours, poolKey)) {
        const peer = neighbours.peersWithIp(vni, ip).find(({ live }) => live)
        if (peer !== undefined) return { member: peer.origin, address: peer.vtep }
      }
      return null
    },
    onChange: (listener) => {
      cluster.onMembers(listener)
      cluster.onTransitions((batch) => {
        if (batch.some(({ previous, next }) => isOfIpam(previous) || isOfIpam(next))) listener()
      })
    },
  }
}

function isOfIpam(record: AnyRecord | null): boolean {
  return blockRecord.is(record) || poolRecord.is(record)
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
