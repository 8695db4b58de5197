import type { EndpointLink } from '../../src/dataplane/dataplane.ts'
import { cidrOf } from '../../src/net/cidr.ts'
import { type Ip, ipBits } from '../../src/net/ip.ts'
import type { Mac } from '../../src/net/mac.ts'

/** A veth pair of an endpoint that has these addresses, each in a /16 or a /64. */
export function endpointLink(
  endpointId: string,
  mac: Mac,
  { ips = [], mtu = 1450 }: { ips?: readonly Ip[]; mtu?: number } = {},
): EndpointLink {
  const addresses = ips.map((ip) => ({ ip, cidr: cidrOf(ip, ipBits(ip) === 32 ? 16 : 64) }))
  return { endpointId, mac, mtu, addresses, sandboxKey: null }
}
