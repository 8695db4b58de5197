import type { Cidr, IpInCidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Vni } from '../net/vni.ts'

/** One of the engine's networks on this host, as the store keeps it. */
export interface Network {
  readonly networkId: string
  readonly overlayId: string
  readonly vni: Vni
  /** Bytes, of the containers' links. */
  readonly mtu: number
  readonly internal: boolean
  readonly pools: readonly Cidr[]
  /** Gateways as address and prefix; the overlay's bridge has them on every host. */
  readonly gateways: readonly string[]
  /** The keys of our own pools that this network is bound to; empty under another IPAM driver. */
  readonly poolKeys: readonly string[]
  /** The driver options as they came, to tell a repeated call from a different one. */
  readonly options: Readonly<Record<string, string>>
}

/** A container's attachment to a network, as the store keeps it. */
export interface Endpoint {
  readonly endpointId: string
  readonly networkId: string
  readonly addresses: readonly IpInCidr[]
  readonly mac: Mac
  /** Seconds since the Unix epoch: when this host first wanted these addresses. */
  readonly claimedAt: number
  /** Whether its link is built: between Join and Leave. */
  readonly joined: boolean
  /** The file of the container's namespace, by the engine's name; unknown before Join. */
  readonly sandboxKey?: string | null
}

/** What this host tells the others of an overlay that it takes part in. */
export interface OverlayClaim {
  readonly overlayId: string
  readonly vni: Vni
  readonly pools: readonly Cidr[]
  readonly mtu: number
}

/** What this host tells the others of an endpoint. */
export interface EndpointClaim {
  readonly vni: Vni
  readonly endpointId: string
  readonly ips: readonly Ip[]
  readonly mac: Mac
  readonly claimedAt: number
}

/** The claim that goes with a network. */
export function overlayClaim(network: Network): OverlayClaim {
  const { overlayId, vni, pools, mtu } = network
  return { overlayId, vni, pools, mtu }
}

/** The claim that goes with an endpoint of that network. */
export function endpointClaim(network: Network, endpoint: Endpoint): EndpointClaim {
  return {
    vni: network.vni,
    endpointId: endpoint.endpointId,
    ips: endpoint.addresses.map((address) => address.ip),
    mac: endpoint.mac,
    claimedAt: endpoint.claimedAt,
  }
}

/** A short form of the engine's long identifiers, as its own command line shows them. */
export function shortId(id: string): string {
  return id.slice(0, 12)
}

/**
 * The ids that swarm gives: 25 digits of base 36. A network of swarm is one overlay on all its nodes, and
 * its id is the overlay's; those that an engine gives itself, 64 hexadecimal digits, are one host's alone.
 */
export function isSwarmId(networkId: string): boolean {
  return /^[0-9a-z]{25}$/.test(networkId)
}
