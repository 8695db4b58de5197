import { assert } from '../base/errors.ts'
import { decode } from './messages/decode.ts'
import type { CreateEndpointCall, NetworkCall, NetworkPool } from './handlers.ts'
import { type Method, type Methods, answered, method } from './method.ts'
import * as messages from './messages/network-messages.ts'

/** The most that the kernel takes for a link's name: IFNAMSIZ less the byte that ends it. */
const maxLinkNameBytes = 15

/** The NetworkDriver calls that have arguments, from the engine's words to ours and back. */
export const networkMethods: Methods = new Map([
  method(
    'NetworkDriver.CreateNetwork',
    messages.createNetworkRequest,
    async ({ network }, r) => {
      await network.createNetwork({
        networkId: r.NetworkID,
        options: r.Options['com.docker.network.generic'],
        internal: r.Options['com.docker.network.internal'],
        pools: poolsOf(r),
      })
      return {}
    },
    async ({ network }, r) => void (await network.dropNetwork(r.NetworkID)),
  ),
  method('NetworkDriver.DeleteNetwork', messages.networkRequest, async ({ network }, r) => {
    await network.deleteNetwork(r.NetworkID)
    return {}
  }),
  method('NetworkDriver.AllocateNetwork', messages.allocateNetworkRequest, async (handlers, r) => {
    const call: NetworkCall = { networkId: r.NetworkID, options: r.Options, pools: poolsOf(r) }
    return { Options: await handlers.network.allocateNetwork(call) }
  }),
  method('NetworkDriver.FreeNetwork', messages.networkRequest, async ({ network }, r) => {
    await network.freeNetwork(r.NetworkID)
    return {}
  }),
  method(
    'NetworkDriver.CreateEndpoint',
    messages.createEndpointRequest,
    async (handlers, r) => {
      const call = endpointCallOf(r)
      const { mac } = await handlers.network.createEndpoint(call)
      const filled = call.mac === null && mac !== null ? { MacAddress: mac } : {}
      return { Interface: filled } satisfies messages.CreateEndpointResponse
    },
    ({ network }, r) => network.deleteEndpoint(r.NetworkID, r.EndpointID),
  ),
  method('NetworkDriver.DeleteEndpoint', messages.endpointRequest, async ({ network }, r) => {
    await network.deleteEndpoint(r.NetworkID, r.EndpointID)
    return {}
  }),
  method('NetworkDriver.Join', messages.joinRequest, async ({ network }, r) => {
    const { sourceName, prefix, routes } = await network.join({
      networkId: r.NetworkID,
      endpointId: r.EndpointID,
      sandboxKey: r.SandboxKey,
    })
    const bytes = Buffer.byteLength(sourceName)
    assert(bytes > 0 && bytes <= maxLinkNameBytes, `a link cannot be called "${sourceName}"`)
    const names = { SrcName: sourceName, DstPrefix: prefix }
    if (routes.length === 0) return { InterfaceName: names } satisfies messages.JoinResponse
    const StaticRoutes = routes.map((Destination) => {
      return { Destination, RouteType: messages.connectedRoute, NextHop: '' } as const
    })
    return { InterfaceName: names, StaticRoutes } satisfies messages.JoinResponse
  }),
  method('NetworkDriver.Leave', messages.endpointRequest, async ({ network }, r) => {
    await network.leave(r.NetworkID, r.EndpointID)
    return {}
  }),
  discovery('NetworkDriver.DiscoverNew', true),
  discovery('NetworkDriver.DiscoverDelete', false),
  answered('NetworkDriver.EndpointOperInfo', messages.endpointRequest, { Value: {} }),
  // Both come only for an endpoint that gave the container its gateway, and ours never does.
  answered('NetworkDriver.ProgramExternalConnectivity', messages.endpointRequest, {}),
  answered('NetworkDriver.RevokeExternalConnectivity', messages.endpointRequest, {}),
])

function discovery(name: string, present: boolean): [string, Method] {
  return method(name, messages.discoveryRequest, async ({ network }, r) => {
    if (r.DiscoveryType !== messages.discoveryOfHost) return {}
    const { DiscoveryData } = decode(name, messages.discoveredHost, r)
    network.discover(DiscoveryData.Address, DiscoveryData.Self, present)
    return {}
  })
}

function poolsOf(request: {
  IPv4Data: readonly messages.IpamData[]
  IPv6Data: readonly messages.IpamData[]
}): NetworkPool[] {
  return [...request.IPv4Data, ...request.IPv6Data].map((data) => ({
    addressSpace: data.AddressSpace,
    pool: data.Pool,
    gateway: data.Gateway,
    aux: data.AuxAddresses,
  }))
}

function endpointCallOf(request: messages.CreateEndpointRequest): CreateEndpointCall {
  const { Address, AddressIPv6, MacAddress } = request.Interface
  return {
    networkId: request.NetworkID,
    endpointId: request.EndpointID,
    addresses: [Address, AddressIPv6].filter((address) => address !== null),
    mac: MacAddress,
    options: request.Options,
  }
}
