import { refusal } from '../base/errors.ts'
import { type IpInCidr, ipWithLength } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import { type Mac, macOfIp } from '../net/mac.ts'
import type { NetworkStore } from './network-store.ts'
import { type Endpoint, type Network, shortId } from './network.ts'
import type { DriverParts, Holder } from './ports.ts'

/*
 * What an endpoint may not have, because somebody else has it already, and what it can have instead.
 */

/** With 2^32 of them to choose from, one that is taken is rare, and several in a row are no chance. */
const maxMacAttempts = 8

/** Every host's bridge has it; a container with it would answer for none but its own host. */
export function refuseGateway(network: Network, addresses: readonly IpInCidr[]): void {
  const taken = addresses.find(({ ip, cidr }) => network.gateways.includes(ipWithLength(ip, cidr)))
  if (taken === undefined) return
  throw refusal(
    'ADDRESS_IN_USE',
    `address ${taken.ip} is the gateway of network ${shortId(network.networkId)}; choose another --ip`,
  )
}

/** Refuses what another endpoint has, here or on a live member for which `counts` holds. */
export function refuseDuplicate(
  parts: DriverParts,
  books: NetworkStore,
  network: Network,
  endpoint: Endpoint,
  counts: (holder: Holder) => boolean,
): void {
  const { dataplane } = parts
  const here = books
    .endpointsOf(network.networkId)
    .filter(({ endpointId }) => endpointId !== endpoint.endpointId)
  const refuse = (
    what: string,
    other: Endpoint | undefined,
    holders: readonly Holder[],
    remedy: string,
  ) => {
    if (other !== undefined)
      throw refusal(
        'ADDRESS_IN_USE',
        `${what} is in use on this host by endpoint ${shortId(other.endpointId)}; ` +
          `stop that container or ${remedy}`,
      )
    const holder = holders.find((candidate) => candidate.live && counts(candidate))
    if (holder !== undefined)
      throw refusal(
        'ADDRESS_IN_USE',
        `${what} on overlay "${network.overlayId}" is in use on member ${holder.origin} ` +
          `(${holder.vtep}) by endpoint ${shortId(holder.endpointId)}; stop that container or ${remedy}`,
      )
  }
  for (const { ip } of endpoint.addresses)
    refuse(
      `address ${ip}`,
      here.find(({ addresses }) => addresses.some((address) => address.ip === ip)),
      dataplane.holders(network.vni, ip),
      'choose another --ip; --ipam-driver ts-overlay gives addresses that are unique',
    )
  const { mac } = endpoint
  refuse(
    `MAC address ${mac}`,
    here.find((other) => other.mac === mac),
    dataplane.macHolders(network.vni, mac),
    'give another --mac-address',
  )
}

/** The one that follows from the address, unless somebody asked for just that one. */
export function chooseMac(parts: DriverParts, books: NetworkStore, network: Network, ip: Ip): Mac {
  const here = new Set(books.endpointsOf(network.networkId).map(({ mac }) => mac))
  for (let attempt = 0; attempt < maxMacAttempts; attempt++) {
    const mac = macOfIp(ip, attempt)
    const elsewhere = parts.dataplane.macHolders(network.vni, mac)
    if (!here.has(mac) && !elsewhere.some(({ live }) => live)) return mac
  }
  return macOfIp(ip)
}
