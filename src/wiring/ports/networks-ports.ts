import type { Cluster } from '../../cluster/cluster.ts'
import type { Driver } from '../../driver/driver.ts'
import type { OtherHosts } from '../../driver/ports.ts'
import type { Engine } from '../../engine-client/engine.ts'
import type { Ipam } from '../../ipam/ipam.ts'
import { type Cidr, cidrsOverlap } from '../../net/cidr.ts'
import type { DriverNetwork, NetworksCluster } from '../../networks/ports.ts'
import type { Peers } from '../../peers/peers.ts'
import { networkRecord, overlayRecord, prefixRecord } from '../records.ts'

/** The cluster as the replication of networks sees it. */
export function networksCluster(cluster: Cluster, peers: Peers, self: string): NetworksCluster {
  return {
    self,
    isSynced: () => cluster.synced(),
    *claims() {
      for (const { record } of cluster.records(networkRecord, { hidden: true })) yield record
    },
    put: (claim) => cluster.put(networkRecord, claim),
    withdraw: (name) => cluster.remove(networkRecord, name),
    prefixes: () => prefixesInUse(cluster),
    putPrefix: (prefix) => cluster.put(prefixRecord, { prefix }),
    withdrawPrefix: (prefix) => cluster.remove(prefixRecord, prefix),
    liveMembers: () =>
      cluster.members().flatMap(({ name, state, self: isSelf }) => {
        return isSelf || state === 'alive' || state === 'suspect' ? [name] : []
      }),
    usersOf: (overlayId) => {
      const users = new Set<string>()
      for (const { record } of cluster.records(overlayRecord)) {
        if (record.overlayId !== overlayId) continue
        for (const { origin, live } of peers.of(record.vni)) if (live) users.add(origin)
      }
      return [...users]
    },
  }
}

/** What live members use outside of the cluster, this one too. */
function* prefixesInUse(cluster: Cluster) {
  for (const { origin, record } of cluster.records(prefixRecord))
    yield { member: origin, prefix: record.prefix as Cidr }
}

/** Whether a network can be on the other hosts with the engines' own IPAM. */
export function otherHosts(cluster: Cluster, self: string, engine: Engine | undefined): OtherHosts {
  return {
    whyNoCopies: () => {
      if (engine === undefined)
        return "this host's plugin does not use the engine's API (ENGINE_API=off)"
      const { connected, failure } = engine.status()
      return connected ? null : `the engine's API does not answer: ${failure ?? 'not asked yet'}`
    },
    prefixUser: (cidr) => {
      for (const user of prefixesInUse(cluster))
        if (user.member !== self && cidrsOverlap(user.prefix, cidr)) return user
      return null
    },
  }
}

/** The networks of our driver, for their replication. */
export function driverNetworks(driver: Driver, ipam: Ipam): DriverNetwork[] {
  const pools = ipam.bindings.heldPools()
  const automatic = new Set(pools.flatMap(({ auto, networkId }) => (auto ? [networkId] : [])))
  return driver.networks().map(({ networkId, overlayId, poolKeys, pools, gateways, ranges }) => {
    const isAutomatic = automatic.has(networkId)
    const engines = ranges === undefined ? null : { pools, gateways }
    return { networkId, overlayId, isAutomatic, isOurIpam: poolKeys.length > 0, engines }
  })
}
