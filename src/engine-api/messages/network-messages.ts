import * as v from 'valibot'
import * as field from './fields.ts'

/** The bodies of NetworkDriver.*, with the names and the order that the engine gives them. */

const ipamData = field.objectOf({
  AddressSpace: v.nullish(v.string(), ''),
  Pool: field.cidr,
  Gateway: field.ipInCidrOrNull,
  AuxAddresses: field.mapOf(field.ipInCidr),
})

/** Empty and null both stand for "none of this family". */
const ipamDataList = v.nullish(v.array(ipamData), [])

export const createNetworkRequest = field.objectOf({
  NetworkID: field.id,
  Options: v.nullish(
    field.objectOf({
      'com.docker.network.generic': field.textOptions,
      'com.docker.network.internal': v.nullish(v.boolean(), false),
    }),
    {},
  ),
  IPv4Data: ipamDataList,
  IPv6Data: ipamDataList,
})

/** Here the options stand bare, not under `com.docker.network.generic`. */
export const allocateNetworkRequest = field.objectOf({
  NetworkID: field.id,
  Options: field.textOptions,
  IPv4Data: ipamDataList,
  IPv6Data: ipamDataList,
})

/** DeleteNetwork and FreeNetwork. */
export const networkRequest = field.objectOf({ NetworkID: field.id })

export const createEndpointRequest = field.objectOf({
  NetworkID: field.id,
  EndpointID: field.id,
  Interface: v.nullish(
    field.objectOf({
      Address: field.ipv4InCidrOrNull,
      AddressIPv6: field.ipv6InCidrOrNull,
      // The label com.docker.network.endpoint.macaddress has it too, as base64 of the six bytes.
      MacAddress: field.macOrNull,
    }),
    {},
  ),
  Options: field.labels,
})

export const joinRequest = field.objectOf({
  NetworkID: field.id,
  EndpointID: field.id,
  SandboxKey: field.someText,
})

/** Leave, DeleteEndpoint, EndpointOperInfo, ProgramExternalConnectivity and its opposite. */
export const endpointRequest = field.objectOf({ NetworkID: field.id, EndpointID: field.id })

/** DiscoveryType of a swarm host, the only one that remote drivers are told of. */
export const discoveryOfHost = 1

export const discoveryRequest = field.objectOf({
  DiscoveryType: v.number(),
  DiscoveryData: v.unknown(),
})

export const discoveredHost = field.objectOf({
  DiscoveryData: field.objectOf({ Address: field.ip, Self: v.nullish(v.boolean(), false) }),
})

/** Only what arrived empty may be filled: a repeated value is refused by the engine. */
export interface CreateEndpointResponse {
  readonly Interface: { readonly MacAddress?: string }
}

/** RouteType of a prefix that is on the link, without a next hop. */
export const connectedRoute = 1

/**
 * No Gateway on purpose: the engine then gives the container its default route, and published
 * ports, through docker_gwbridge.
 */
export interface JoinResponse {
  readonly InterfaceName: { readonly SrcName: string; readonly DstPrefix: string }
  readonly StaticRoutes?: readonly {
    readonly Destination: string
    readonly RouteType: typeof connectedRoute
    readonly NextHop: ''
  }[]
}

export type CreateNetworkRequest = v.InferOutput<typeof createNetworkRequest>
export type CreateEndpointRequest = v.InferOutput<typeof createEndpointRequest>
export type IpamData = v.InferOutput<typeof ipamData>
