import { type Cidr, cidrBits, cidrContains } from '../../net/cidr.ts'
import { type Ip, ipBits } from '../../net/ip.ts'
import type { Mac } from '../../net/mac.ts'
import type { Vni } from '../../net/vni.ts'
import { isHostIp, isStationMac } from '../credible.ts'
import type { EndpointLink, FdbEntry, Inside, Neighbour } from '../dataplane.ts'
import type { Peer, PeerTable, AddressSet } from './peer-table.ts'

/**
 * The rows that an overlay should have in this host's kernel: a pure function of what the members say
 * and of this host's own endpoints. Only live peers have rows. What is here is not there: an address or
 * a MAC of an own endpoint has none, an address of the overlay's own bridge has none, and a peer behind
 * our own VTEP has none, or frames would go round. Nor has one whose claim cannot be true, or whose
 * address is not the overlay's.
 */

/** An endpoint on this host. */
export interface LocalEndpoint extends EndpointLink {
  readonly ips: readonly Ip[]
  /** What is known of the container that it is for. */
  readonly inside?: Inside | undefined
}

/** An overlay as seen from this host. */
export interface OverlayView {
  readonly vni: Vni
  readonly vtep: Ip
  readonly local: ReadonlyMap<string, LocalEndpoint>
  /** The addresses of the overlay's bridge. */
  readonly gateways: ReadonlySet<Ip>
  /** The overlay's subnets; of a family that has none, every address may be on it. */
  readonly subnets: readonly Cidr[]
}

/** Some addresses of an overlay. */
export interface Addresses {
  readonly ips: Iterable<Ip>
  readonly macs: Iterable<Mac>
}

export interface Rows {
  readonly fdb: readonly FdbEntry[]
  readonly neighbours: readonly Neighbour[]
}

/** The rows that some addresses of the overlay should have: with all that are claimed, all rows. */
export function desiredRows(peers: PeerTable, view: OverlayView, addresses: Addresses): Rows {
  const here = addressesOf(view.local.values())
  const fdb: FdbEntry[] = []
  const neighbours: Neighbour[] = []
  for (const mac of addresses.macs) {
    const peer = here.macs.has(mac)
      ? undefined
      : preferredPeer(peers.macHolders(view.vni, mac), view)
    if (peer !== undefined) fdb.push({ mac, vtep: peer.vtep })
  }
  for (const ip of addresses.ips) {
    const ours = here.ips.has(ip) || view.gateways.has(ip)
    const peer =
      ours || !isHostIp(ip) || !isOn(view.subnets, ip)
        ? undefined
        : preferredPeer(peers.holders(view.vni, ip), view)
    if (peer !== undefined) neighbours.push({ ip, mac: peer.mac })
  }
  return { fdb, neighbours }
}

function isOn(subnets: readonly Cidr[], ip: Ip): boolean {
  const family = subnets.filter((subnet) => cidrBits(subnet) === ipBits(ip))
  return family.length === 0 || family.some((subnet) => cidrContains(subnet, ip))
}

/** The addresses that endpoints of this host have. */
export function addressesOf(endpoints: Iterable<LocalEndpoint>): AddressSet {
  const addresses: AddressSet = { ips: new Set(), macs: new Set() }
  for (const { mac, ips } of endpoints) {
    addresses.macs.add(mac)
    for (const ip of ips) addresses.ips.add(ip)
  }
  return addresses
}

function preferredPeer(holders: readonly Peer[], view: OverlayView): Peer | undefined {
  return holders.find(
    ({ live, vtep, mac }) => live && vtep !== view.vtep && isHostIp(vtep) && isStationMac(mac),
  )
}
