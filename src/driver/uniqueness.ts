import { type OverlayError, refusal } from '../base/errors.ts'
import { type IpInCidr, ipWithLength } from '../net/cidr.ts'
import type { Peer } from '../net/endpoint.ts'
import type { Ip } from '../net/ip.ts'
import { type Mac, macOfIp } from '../net/mac.ts'
import { type Endpoint, type Network, shortId } from './network-store.ts'
import type { NetworkStore } from './network-store.ts'
import type { DriverPeers } from './ports.ts'

/** With 2^32 to choose from, one address in use is rare; several in a row are no coincidence. */
const maxMacAttempts = 8

/** An address that an endpoint claims, and who else may have it. */
interface AddressClaim {
  readonly text: string
  readonly remedy: string
  readonly isHeldBy: (other: Endpoint) => boolean
  readonly peers: readonly Peer[]
}

/** Which addresses an endpoint can have: those that no other endpoint of the overlay has. */
export class UniquenessCheck {
  readonly #peers: DriverPeers
  readonly #store: NetworkStore

  constructor(peers: DriverPeers, store: NetworkStore) {
    this.#peers = peers
    this.#store = store
  }

  /**
   * Refuses an endpoint with an IP or MAC address of another endpoint, on this host or on a live
   * member: of the peers, those for which `counts` holds.
   */
  refuseDuplicate(network: Network, endpoint: Endpoint, counts: (peer: Peer) => boolean): void {
    const others = this.#store
      .endpoints(network.networkId)
      .filter(({ endpointId }) => endpointId !== endpoint.endpointId)
    for (const claim of this.#claimsOf(network, endpoint)) {
      const local = others.find(claim.isHeldBy)
      if (local !== undefined) throw inUseHere(claim, local)
      const peer = claim.peers.find((candidate) => candidate.live && counts(candidate))
      if (peer !== undefined) throw inUseElsewhere(network, claim, peer)
    }
  }

  /** The MAC address derived from the IP address, or the next that no other endpoint has. */
  chooseMac({ networkId, vni }: Network, ip: Ip): Mac {
    const here = new Set(this.#store.endpoints(networkId).map(({ mac }) => mac))
    for (let attempt = 0; attempt < maxMacAttempts; attempt++) {
      const mac = macOfIp(ip, attempt)
      const isElsewhere = this.#peers.withMac(vni, mac).some(({ live }) => live)
      if (!here.has(mac) && !isElsewhere) return mac
    }
    return macOfIp(ip)
  }

  *#claimsOf({ vni }: Network, { addresses, mac }: Endpoint): Generator<AddressClaim> {
    for (const { ip } of addresses)
      yield {
        text: `address ${ip}`,
        remedy: 'choose another --ip; --ipam-driver ts-overlay gives addresses that are unique',
        isHeldBy: (other) => other.addresses.some((address) => address.ip === ip),
        peers: this.#peers.withIp(vni, ip),
      }
    yield {
      text: `MAC address ${mac}`,
      remedy: 'give another --mac-address',
      isHeldBy: (other) => other.mac === mac,
      peers: this.#peers.withMac(vni, mac),
    }
  }
}

/**
 * Refuses a gateway's address: every host's bridge has it, so the endpoint would be reachable on
 * its host only.
 */
export function refuseGateway(network: Network, addresses: readonly IpInCidr[]): void {
  const gateway = addresses.find(({ ip, cidr }) =>
    network.gateways.includes(ipWithLength(ip, cidr)),
  )
  if (gateway === undefined) return
  throw refusal(
    'ADDRESS_IN_USE',
    `address ${gateway.ip} is the gateway of network ${shortId(network.networkId)}; choose another --ip`,
  )
}

function inUseHere({ text, remedy }: AddressClaim, { endpointId }: Endpoint): OverlayError {
  return refusal(
    'ADDRESS_IN_USE',
    `${text} is in use on this host by endpoint ${shortId(endpointId)}; ` +
      `stop that container or ${remedy}`,
  )
}

function inUseElsewhere({ overlayId }: Network, { text, remedy }: AddressClaim, peer: Peer) {
  return refusal(
    'ADDRESS_IN_USE',
    `${text} on overlay "${overlayId}" is in use on member ${peer.origin} (${peer.vtep}) by ` +
      `endpoint ${shortId(peer.endpointId)}; stop that container or ${remedy}`,
  )
}
