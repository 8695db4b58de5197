import { assert } from '../base/errors.ts'
import { parseIpInCidr } from '../net/cidr.ts'
import * as messages from './messages/ipam-messages.ts'
import { type Methods, method } from './method.ts'

/** The IpamDriver calls that have arguments, from the engine's words to ours and back. */
export const ipamMethods: Methods = new Map([
  method(
    'IpamDriver.RequestPool',
    messages.requestPoolRequest,
    async ({ ipam }, r) => {
      const { poolId, pool } = await ipam.requestPool({
        space: r.AddressSpace,
        pool: r.Pool,
        subPool: r.SubPool,
        options: r.Options,
        ipv6: r.V6,
      })
      assert(poolId !== '', `the pool ${pool} has no id`)
      return { PoolID: poolId, Pool: pool, Data: {} } satisfies messages.RequestPoolResponse
    },
    async ({ ipam }, r, answer) => {
      if (r.Pool === null) await ipam.releasePool(answer.PoolID)
    },
  ),
  method('IpamDriver.ReleasePool', messages.poolRequest, async ({ ipam }, r) => {
    await ipam.releasePool(r.PoolID)
    return {}
  }),
  method(
    'IpamDriver.RequestAddress',
    messages.requestAddressRequest,
    async ({ ipam }, r) => {
      const Address = await ipam.requestAddress({
        poolId: r.PoolID,
        address: r.Address,
        gateway: isForGateway(r),
        name: nameIn(r),
      })
      return { Address, Data: {} } satisfies messages.RequestAddressResponse
    },
    async ({ ipam }, r, answer) => {
      const given = parseIpInCidr(answer.Address)
      if (given !== null && r.Address === null && !isForGateway(r))
        await ipam.releaseAddress({ poolId: r.PoolID, address: given.ip })
    },
  ),
  method('IpamDriver.ReleaseAddress', messages.releaseAddressRequest, async ({ ipam }, r) => {
    await ipam.releaseAddress({ poolId: r.PoolID, address: r.Address })
    return {}
  }),
])

/** Longer names are no container's. */
const maxNameLength = 255

/** The container's name, where the engine tells it. */
function nameIn({ Options }: messages.RequestAddressRequest): string | null {
  const name = Options[messages.endpointNameOption] ?? ''
  return name === '' || name.length > maxNameLength ? null : name
}

function isForGateway(request: messages.RequestAddressRequest): boolean {
  return request.Options.RequestAddressType === messages.gatewayType
}
