import { cidrOf, ipAt, ipWithLength, parseCidr } from '../../src/net/cidr.ts'
import { parseIp } from '../../src/net/ip.ts'
import { macOfIp } from '../../src/net/mac.ts'
import type { PluginHandlers } from '../../src/engine-api/handlers.ts'

/** One call that reached a handler. */
export interface HandledCall {
  readonly method: string
  readonly args: readonly unknown[]
}

/** Handlers that note each call and answer as a plugin would that has no state worth the name. */
export function recordingHandlers(calls: HandledCall[]): PluginHandlers {
  let given = 0
  const note = (method: string, ...args: unknown[]): void => void calls.push({ method, args })
  return {
    network: {
      createNetwork: async (call) => note('createNetwork', call),
      deleteNetwork: async (networkId) => note('deleteNetwork', networkId),
      createEndpoint: async (call) => {
        note('createEndpoint', call)
        return { mac: macOfIp(call.addresses[0]?.ip ?? parseIp('10.0.0.1')!) }
      },
      deleteEndpoint: async (networkId, endpointId) =>
        note('deleteEndpoint', networkId, endpointId),
      join: async (call) => {
        note('join', call)
        return { sourceName: `tso${++given}`, prefix: 'eth', routes: [] }
      },
      leave: async (networkId, endpointId) => note('leave', networkId, endpointId),
      allocateNetwork: async (call) => {
        note('allocateNetwork', call)
        return call.options
      },
      dropNetwork: async (networkId) => note('dropNetwork', networkId),
      freeNetwork: async (networkId) => note('freeNetwork', networkId),
      discover: (address, self, present) => note('discover', address, self, present),
    },
    ipam: {
      requestPool: async (call) => {
        note('requestPool', call)
        const pool = call.pool ?? parseCidr(`10.200.${++given}.0/24`)!
        return { poolId: `${call.space} ${pool}`, pool }
      },
      releasePool: async (poolId) => note('releasePool', poolId),
      requestAddress: async (call) => {
        note('requestAddress', call)
        const pool = parseCidr(call.poolId.split(' ').at(-1)!) ?? cidrOf(parseIp('10.0.0.0')!, 8)
        const next = BigInt(++given)
        return ipWithLength(call.address ?? ipAt(pool, call.gateway ? 1n : next), pool)
      },
      releaseAddress: async (call) => note('releaseAddress', call),
    },
  }
}
