import type { FdbEntry, EndpointLink, Neighbour, RowChange } from '../dataplane.ts'
import { type Cidr, cidrBits, cidrContains } from '../../net/cidr.ts'
import type { AddressSet, Peer } from '../../net/endpoint.ts'
import { type Ip, ipBits } from '../../net/ip.ts'
import { type Mac, isUnicastMac, noMac } from '../../net/mac.ts'
import { isHostIp } from '../../net/reserved.ts'
import type { Vni } from '../../net/vni.ts'

/*
 * The rows that an overlay should have in this host's kernel, and the least number of changes that
 * gets it there: pure functions of the peers' claims and of this host's own endpoints.
 *
 * Only live peers have rows. What is on this host has none: an address or MAC address of a local
 * endpoint, an address of the overlay's own bridge, and a peer behind our own VTEP, or frames would
 * loop. Nor has a claim that fails validation: the kernel takes nearly anything, and a VTEP that is
 * a multicast group or loopback, or a neighbour with a group's MAC address, would send the
 * containers' frames astray.
 *
 * With multicast, the VXLAN device's default destination, the entry of the MAC address of zeros, is
 * every VTEP that has endpoints of the overlay: the device sends a copy to each (RFC 7348, section
 * 4.2, by unicast).
 */

/** The MAC address whose FDB entries are the default destination. It may have several VTEPs. */
export const defaultDestination = noMac as Mac

/**
 * The claims of other members' endpoints. Claims of one address are sorted, the one that counts
 * first.
 */
export interface PeerClaims {
  withIp(vni: Vni, ip: Ip): readonly Peer[]
  withMac(vni: Vni, mac: Mac): readonly Peer[]
  /** Every address of an overlay that any peer claims. */
  addresses(vni: Vni): Addresses
  /** All peers of an overlay. */
  of(vni: Vni): readonly Peer[]
  /** The number of peers of an overlay. */
  count(vni: Vni): number
}

/** An overlay on this host, as far as its rows depend on it. */
export interface LocalOverlay {
  readonly vni: Vni
  readonly vtep: Ip
  /** This host's endpoints by id. */
  readonly endpoints: ReadonlyMap<string, EndpointLink>
  /** The addresses of the overlay's bridge. */
  readonly gateways: ReadonlySet<Ip>
  /** The overlay's subnets; a family that has none is not restricted. */
  readonly subnets: readonly Cidr[]
  readonly encrypted?: boolean | undefined
  /** Whether frames to groups leave this host. */
  readonly multicast?: boolean | undefined
}

export interface Addresses {
  readonly ips: Iterable<Ip>
  readonly macs: Iterable<Mac>
}

export interface Rows {
  readonly fdb: readonly FdbEntry[]
  readonly neighbours: readonly Neighbour[]
}

/**
 * The rows that some addresses of the overlay should have; given all claimed addresses, all rows.
 */
export function desiredRows(peers: PeerClaims, overlay: LocalOverlay, addresses: Addresses): Rows {
  const { vni, gateways, subnets } = overlay
  const here = addressesOf(overlay.endpoints.values())
  const fdb: FdbEntry[] = []
  const neighbours: Neighbour[] = []
  for (const mac of addresses.macs) {
    if (mac === defaultDestination) fdb.push(...replicas(peers, overlay))
    const peer = here.macs.has(mac) ? undefined : preferred(peers.withMac(vni, mac), overlay)
    if (peer !== undefined) fdb.push({ mac, vtep: peer.vtep })
  }
  for (const ip of addresses.ips) {
    if (here.ips.has(ip) || gateways.has(ip) || !isHostIp(ip) || !isIn(subnets, ip)) continue
    const peer = preferred(peers.withIp(vni, ip), overlay)
    if (peer !== undefined) neighbours.push({ ip, mac: peer.mac })
  }
  return { fdb, neighbours }
}

function replicas(peers: PeerClaims, overlay: LocalOverlay): FdbEntry[] {
  if (overlay.multicast !== true) return []
  const vteps = peers.of(overlay.vni).flatMap((peer) => preferred([peer], overlay)?.vtep ?? [])
  return Array.from(new Set(vteps), (vtep) => ({ mac: defaultDestination, vtep }))
}

/**
 * Whether a link may lack a route in its sandbox, or have another MTU there. Without `before` the
 * process may have ended between a subnet and its routes.
 */
export function differsInSandbox(before: EndpointLink | undefined, link: EndpointLink): boolean {
  const isNew = (route: Cidr): boolean => before?.routes?.includes(route) !== true
  return link.routes?.some(isNew) === true || (before?.mtu ?? link.mtu) !== link.mtu
}

/** The addresses of endpoints of this host. */
export function addressesOf(endpoints: Iterable<EndpointLink>): AddressSet {
  const set: AddressSet = { ips: new Set(), macs: new Set() }
  for (const { mac, addresses } of endpoints) {
    set.macs.add(mac)
    for (const { ip } of addresses) set.ips.add(ip)
  }
  return set
}

/**
 * The least that turns `actual` into `desired`. All sets come before all removes, and a row that
 * changes is set, not removed and set: at no moment does a desired address have no row.
 */
export function diff(desired: Rows, actual: Rows): RowChange[] {
  const fdb = diffFdb(desired.fdb, actual.fdb)
  const neighbours = diffNeighbours(desired.neighbours, actual.neighbours)
  return [...fdb.sets, ...neighbours.sets, ...fdb.removes, ...neighbours.removes]
}

/** The VTEPs of each MAC address, in the order of the entries. */
export function vtepsByMac(entries: readonly FdbEntry[]): Map<Mac, Ip[]> {
  const vteps = new Map<Mac, Ip[]>()
  for (const { mac, vtep } of entries) {
    const known = vteps.get(mac)
    if (known === undefined) vteps.set(mac, [vtep])
    else known.push(vtep)
  }
  return vteps
}

function isIn(subnets: readonly Cidr[], ip: Ip): boolean {
  const family = subnets.filter((subnet) => cidrBits(subnet) === ipBits(ip))
  return family.length === 0 || family.some((subnet) => cidrContains(subnet, ip))
}

function preferred(claims: readonly Peer[], overlay: LocalOverlay): Peer | undefined {
  const { vtep: own, encrypted = false } = overlay
  return claims.find(
    (peer) =>
      peer.live &&
      // What is encrypted on one host must not leave the other in the clear.
      (peer.encrypted ?? false) === encrypted &&
      peer.vtep !== own &&
      // A VXLAN device has tunnels of one family.
      ipBits(peer.vtep) === ipBits(own) &&
      isHostIp(peer.vtep) &&
      isUnicastMac(peer.mac),
  )
}

interface Changes {
  readonly sets: RowChange[]
  readonly removes: RowChange[]
}

/**
 * The default destination has any number of VTEPs. Of another MAC address with several, a set
 * replaces the first, in the order of the dump; the others have to be removed.
 */
function diffFdb(desired: readonly FdbEntry[], actual: readonly FdbEntry[]): Changes {
  const changes: Changes = { sets: [], removes: [] }
  const vteps = vtepsByMac(actual)
  const copies = new Set(vteps.get(defaultDestination))
  vteps.delete(defaultDestination)
  for (const { mac, vtep } of desired) {
    if (mac === defaultDestination) {
      if (!copies.delete(vtep)) changes.sets.push({ op: 'set', kind: 'fdb', mac, vtep })
      continue
    }
    const present = vteps.get(mac) ?? []
    vteps.delete(mac)
    const isThere = present.includes(vtep)
    if (!isThere) changes.sets.push({ op: 'set', kind: 'fdb', mac, vtep })
    const excess = isThere ? present.filter((other) => other !== vtep) : present.slice(1)
    for (const other of excess)
      changes.removes.push({ op: 'remove', kind: 'fdb', mac, vtep: other })
  }
  if (copies.size > 0) vteps.set(defaultDestination, [...copies])
  for (const [mac, excess] of vteps)
    for (const vtep of excess) changes.removes.push({ op: 'remove', kind: 'fdb', mac, vtep })
  return changes
}

function diffNeighbours(desired: readonly Neighbour[], actual: readonly Neighbour[]): Changes {
  const changes: Changes = { sets: [], removes: [] }
  const macs = new Map<Ip, Mac>(actual.map(({ ip, mac }) => [ip, mac]))
  for (const { ip, mac } of desired) {
    if (macs.get(ip) !== mac) changes.sets.push({ op: 'set', kind: 'neighbour', ip, mac })
    macs.delete(ip)
  }
  for (const [ip, mac] of macs) changes.removes.push({ op: 'remove', kind: 'neighbour', ip, mac })
  return changes
}
