import type { AddressSet, EndpointClaim, Peer } from '../net/endpoint.ts'
import type { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Vni } from '../net/vni.ts'

/*
 * The endpoints of all other members: their records come in, and the addresses whose claims changed
 * come out. Other rooms ask here which peers have an IP or MAC address.
 *
 * Its invariant: it holds one peer for each endpoint record of a member that is there, and every
 * host orders the claims of one address alike. An address may have several claims for a while: a
 * container moved, two clusters met, a host was declared dead by mistake. When the first claim
 * goes, the next one counts.
 *
 * It may not know kernels, or the endpoints of this host.
 */

/** One record of another member before and after a change; null where there is none. */
interface RecordTransition {
  readonly origin: string
  /** That member's VTEP. */
  readonly address: Ip
  readonly live: boolean
  readonly previous: { readonly kind: string } | null
  readonly next: { readonly kind: string } | null
}

/** One peer before and after a change; null where there is none. */
export interface PeerTransition {
  readonly previous: Peer | null
  readonly next: Peer | null
}

type EndpointRecord = EndpointClaim & { readonly kind: 'endpoint' }

/** The claims of one address: nearly always there is one. */
type Claims = Peer | Set<Peer>

interface Overlay {
  readonly peers: Map<string, Peer>
  readonly byIp: Map<Ip, Claims>
  readonly byMac: Map<Mac, Claims>
}

type Changed = Map<Vni, AddressSet>

export class Peers {
  readonly #overlays = new Map<Vni, Overlay>()

  /**
   * Applies the endpoint records of a batch, and ignores other kinds. An endpoint whose member is
   * gone is removed like a deleted one: the cluster keeps the record, and hands it over again on
   * its return.
   * @returns the addresses whose claims changed, by overlay.
   */
  applyRecords(batch: readonly RecordTransition[]): ReadonlyMap<Vni, AddressSet> {
    return this.apply(batch.map(peerTransition))
  }

  /**
   * Applies transitions in order, in time proportional to their number. The table's own entry of a
   * peer counts, not what `previous` says.
   * @returns the addresses whose claims changed, by overlay.
   */
  apply(transitions: readonly PeerTransition[]): ReadonlyMap<Vni, AddressSet> {
    const changed: Changed = new Map()
    for (const { previous, next } of transitions) {
      const peer = next ?? previous
      if (peer === null) continue
      const key = keyOf(peer)
      this.#remove(peer.vni, key, changed)
      if (next !== null) this.#add(next, key, changed)
    }
    return changed
  }

  /** The peers that claim an IP address, in the order of `comparePeers`. */
  withIp(vni: Vni, ip: Ip): Peer[] {
    return sorted(this.#overlays.get(vni)?.byIp.get(ip))
  }

  /** The peers that claim a MAC address, in the order of `comparePeers`. */
  withMac(vni: Vni, mac: Mac): Peer[] {
    return sorted(this.#overlays.get(vni)?.byMac.get(mac))
  }

  /** All peers of an overlay, in no particular order. */
  of(vni: Vni): Peer[] {
    return [...(this.#overlays.get(vni)?.peers.values() ?? [])]
  }

  /** The number of peers of an overlay. */
  count(vni: Vni): number {
    return this.#overlays.get(vni)?.peers.size ?? 0
  }

  /** Every address of an overlay that any peer claims. */
  addresses(vni: Vni): { readonly ips: Iterable<Ip>; readonly macs: Iterable<Mac> } {
    const overlay = this.#overlays.get(vni)
    return { ips: overlay?.byIp.keys() ?? [], macs: overlay?.byMac.keys() ?? [] }
  }

  #remove(vni: Vni, key: string, changed: Changed): void {
    const overlay = this.#overlays.get(vni)
    const peer = overlay?.peers.get(key)
    if (overlay === undefined || peer === undefined) return
    overlay.peers.delete(key)
    removeClaim(overlay.byMac, peer.mac, peer)
    for (const ip of peer.ips) removeClaim(overlay.byIp, ip, peer)
    if (overlay.peers.size === 0) this.#overlays.delete(vni)
    note(changed, peer)
  }

  #add(peer: Peer, key: string, changed: Changed): void {
    let overlay = this.#overlays.get(peer.vni)
    if (overlay === undefined) {
      overlay = { peers: new Map(), byIp: new Map(), byMac: new Map() }
      this.#overlays.set(peer.vni, overlay)
    }
    overlay.peers.set(key, peer)
    addClaim(overlay.byMac, peer.mac, peer)
    for (const ip of peer.ips) addClaim(overlay.byIp, ip, peer)
    note(changed, peer)
  }
}

/**
 * Orders claims of one address, the one that counts first: live before not live, then the later
 * claim, then the larger member name and endpoint id, so that every host decides alike.
 */
export function comparePeers(a: Peer, b: Peer): number {
  if (a.live !== b.live) return a.live ? -1 : 1
  if (a.claimedAt !== b.claimedAt) return b.claimedAt - a.claimedAt
  if (a.origin !== b.origin) return a.origin > b.origin ? -1 : 1
  if (a.endpointId !== b.endpointId) return a.endpointId > b.endpointId ? -1 : 1
  return 0
}

function peerTransition(transition: RecordTransition): PeerTransition {
  const { previous, next } = transition
  return { previous: peerOf(transition, previous), next: peerOf(transition, next) }
}

function peerOf(
  { origin, address, live }: RecordTransition,
  record: RecordTransition['next'],
): Peer | null {
  if (!isEndpoint(record)) return null
  const { kind: _, ...claim } = record
  return { ...claim, origin, vtep: address, live }
}

function isEndpoint(record: RecordTransition['next']): record is EndpointRecord {
  return record?.kind === 'endpoint'
}

/** Unique within an overlay: the length says where the name ends, whatever it contains. */
function keyOf({ origin, endpointId }: Peer): string {
  return `${origin.length}/${origin}/${endpointId}`
}

function addClaim<K>(index: Map<K, Claims>, address: K, peer: Peer): void {
  const claims = index.get(address)
  if (claims === undefined) index.set(address, peer)
  else if (claims instanceof Set) claims.add(peer)
  else index.set(address, new Set([claims, peer]))
}

function removeClaim<K>(index: Map<K, Claims>, address: K, peer: Peer): void {
  const claims = index.get(address)
  if (claims instanceof Set) claims.delete(peer)
  if (claims === peer || (claims instanceof Set && claims.size === 0)) index.delete(address)
}

function note(changed: Changed, { vni, mac, ips }: Peer): void {
  let addresses = changed.get(vni)
  if (addresses === undefined) {
    addresses = { ips: new Set(), macs: new Set() }
    changed.set(vni, addresses)
  }
  addresses.macs.add(mac)
  for (const ip of ips) addresses.ips.add(ip)
}

function sorted(claims: Claims | undefined): Peer[] {
  if (claims === undefined) return []
  return claims instanceof Set ? [...claims].sort(comparePeers) : [claims]
}
