import type { Ip } from './ip.ts'
import type { Mac } from './mac.ts'
import type { Vni } from './vni.ts'

/** What a member publishes of an endpoint of its own. */
export interface EndpointClaim {
  readonly vni: Vni
  readonly endpointId: string
  readonly ips: readonly Ip[]
  readonly mac: Mac
  /**
   * When its host first claimed these addresses: seconds since the Unix epoch, by its wall clock.
   */
  readonly claimedAt: number
  /** Its host has the overlay encrypted. */
  readonly encrypted?: true
}

/** An endpoint of another member, identified by VNI, origin and endpoint id. */
export interface Peer extends EndpointClaim {
  /** The name of the member that has the endpoint. */
  readonly origin: string
  /** That member's tunnel end. */
  readonly vtep: Ip
  /** Whether its member is alive, as far as gossip knows. */
  readonly live: boolean
}

/** Addresses of one overlay. */
export interface AddressSet {
  readonly ips: Set<Ip>
  readonly macs: Set<Mac>
}
