import type { Ip } from '../../net/ip.ts'
import type { Mac } from '../../net/mac.ts'
import type { Vni } from '../../net/vni.ts'

/**
 * What other members say of their endpoints. An address or a MAC may be claimed by more than one of
 * them for a while (a container that moved, two clusters that met, a host that was believed dead), so
 * both lead to sets of claims; which one counts is decided by a total order, and when it goes, the next
 * one counts again. The table knows nothing of kernels or of this host's own endpoints.
 */

/** An endpoint of another member. Identified by VNI, origin and endpoint id. */
export interface Peer {
  readonly vni: Vni
  /** The member that has the endpoint, by name. */
  readonly origin: string
  readonly endpointId: string
  readonly ips: readonly Ip[]
  readonly mac: Mac
  readonly vtep: Ip
  /** When the endpoint was made, by its member's wall clock, in ms since the Unix epoch. */
  readonly claimedAt: number
  /** Whether its member is believed to be there. */
  readonly live: boolean
}

/** What a peer was and what it is now; null for not being there. */
export interface PeerTransition {
  readonly previous: Peer | null
  readonly next: Peer | null
}

/** The addresses of an overlay whose claims changed. */
export interface AddressSet {
  readonly ips: Set<Ip>
  readonly macs: Set<Mac>
}

/** Claims of one address: nearly always there is one. */
type Claims = Peer | Set<Peer>

interface OverlayClaims {
  readonly all: Map<string, Peer>
  readonly byIp: Map<Ip, Claims>
  readonly byMac: Map<Mac, Claims>
}

/**
 * Orders claims of the same address, the one that counts first: live before not, then the later one,
 * then by the larger member name and endpoint id, so that every host decides alike.
 */
export function comparePeers(a: Peer, b: Peer): number {
  if (a.live !== b.live) return a.live ? -1 : 1
  if (a.claimedAt !== b.claimedAt) return b.claimedAt - a.claimedAt
  if (a.origin !== b.origin) return a.origin > b.origin ? -1 : 1
  if (a.endpointId !== b.endpointId) return a.endpointId > b.endpointId ? -1 : 1
  return 0
}

export class PeerTable {
  readonly #overlays = new Map<Vni, OverlayClaims>()

  /**
   * Applies transitions in order, in time proportional to their number. A peer is found by its key; what
   * the table has of it counts, not what `previous` says.
   * @returns what changed, by overlay.
   */
  apply(transitions: readonly PeerTransition[]): Map<Vni, AddressSet> {
    const touched = new Map<Vni, AddressSet>()
    for (const { previous, next } of transitions) {
      if (previous !== null && (next === null || !isSame(previous, next)))
        this.#remove(previous, keyOf(previous), touched)
      if (next === null) continue
      const key = keyOf(next)
      this.#remove(next, key, touched)
      this.#add(next, key, touched)
    }
    return touched
  }

  /** Who claims the address, the one that counts first. */
  holders(vni: Vni, ip: Ip): Peer[] {
    return sorted(this.#overlays.get(vni)?.byIp.get(ip))
  }

  /** Who claims the MAC address, the one that counts first. */
  macHolders(vni: Vni, mac: Mac): Peer[] {
    return sorted(this.#overlays.get(vni)?.byMac.get(mac))
  }

  /** All peers of an overlay, in no particular order. */
  peers(vni: Vni): Peer[] {
    return [...(this.#overlays.get(vni)?.all.values() ?? [])]
  }

  /** How many peers an overlay has. */
  count(vni: Vni): number {
    return this.#overlays.get(vni)?.all.size ?? 0
  }

  /** Every address of an overlay that anybody claims. */
  addresses(vni: Vni): { ips: Iterable<Ip>; macs: Iterable<Mac> } {
    const claims = this.#overlays.get(vni)
    return { ips: claims?.byIp.keys() ?? [], macs: claims?.byMac.keys() ?? [] }
  }

  #remove({ vni }: Peer, key: string, touched: Map<Vni, AddressSet>): void {
    const claims = this.#overlays.get(vni)
    const known = claims?.all.get(key)
    if (claims === undefined || known === undefined) return
    claims.all.delete(key)
    drop(claims.byMac, known.mac, known)
    for (const ip of known.ips) drop(claims.byIp, ip, known)
    if (claims.all.size === 0) this.#overlays.delete(vni)
    touch(touched, known)
  }

  #add(peer: Peer, key: string, touched: Map<Vni, AddressSet>): void {
    let claims = this.#overlays.get(peer.vni)
    if (claims === undefined) {
      claims = { all: new Map(), byIp: new Map(), byMac: new Map() }
      this.#overlays.set(peer.vni, claims)
    }
    claims.all.set(key, peer)
    put(claims.byMac, peer.mac, peer)
    for (const ip of peer.ips) put(claims.byIp, ip, peer)
    touch(touched, peer)
  }
}

function isSame(a: Peer, b: Peer): boolean {
  return a.vni === b.vni && a.origin === b.origin && a.endpointId === b.endpointId
}

/** Within an overlay. The length tells where the name ends, whatever it has in it. */
function keyOf({ origin, endpointId }: Peer): string {
  return `${origin.length}/${origin}/${endpointId}`
}

function put<K>(index: Map<K, Claims>, at: K, peer: Peer): void {
  const claims = index.get(at)
  if (claims === undefined) index.set(at, peer)
  else if (claims instanceof Set) claims.add(peer)
  else index.set(at, new Set([claims, peer]))
}

function drop<K>(index: Map<K, Claims>, at: K, peer: Peer): void {
  const claims = index.get(at)
  if (claims instanceof Set) claims.delete(peer)
  if (claims === peer || (claims instanceof Set && claims.size === 0)) index.delete(at)
}

function touch(touched: Map<Vni, AddressSet>, peer: Peer): void {
  let addresses = touched.get(peer.vni)
  if (addresses === undefined) {
    addresses = { ips: new Set(), macs: new Set() }
    touched.set(peer.vni, addresses)
  }
  addresses.macs.add(peer.mac)
  for (const ip of peer.ips) addresses.ips.add(ip)
}

function sorted(claims: Claims | undefined): Peer[] {
  if (claims === undefined) return []
  return claims instanceof Set ? [...claims].sort(comparePeers) : [claims]
}
