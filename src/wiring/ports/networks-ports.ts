import type { Cluster } from '../../cluster/cluster.ts'
import type { Driver } from '../../driver/driver.ts'
import type { Ipam } from '../../ipam/ipam.ts'
import type { DriverNetwork, NetworksCluster } from '../../networks/ports.ts'
import type { Peers } from '../../peers/peers.ts'
import { networkRecord, overlayRecord } from '../records.ts'

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

/** The networks of our driver, for their replication. */
export function driverNetworks(driver: Driver, ipam: Ipam): DriverNetwork[] {
  const pools = ipam.bindings.heldPools()
  const automatic = new Set(pools.flatMap(({ auto, networkId }) => (auto ? [networkId] : [])))
  return driver.networks().map(({ networkId, overlayId, poolKeys }) => {
    const isAutomatic = automatic.has(networkId)
    return { networkId, overlayId, isAutomatic, isOurIpam: poolKeys.length > 0 }
  })
}
