import type { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Endpoint, Network } from './network.ts'
import type { KnownOverlay } from './overlay-parameters.ts'
import type { Holder } from './ports.ts'

/**
 * What this host and another member hold of the same overlay and that cannot both work. New networks and
 * endpoints are refused when they would bring that about, but a host that was away, or cut off, or two at
 * the same moment, are only found out later. Pure: what is here and what is there go in, and what
 * contradicts comes out. Both sides find the same, each from its own point of view.
 */
export interface Inconsistency {
  readonly kind: 'mtu' | 'port' | 'vni' | 'subnets' | 'vni-shared' | 'mac' | 'address'
  readonly overlayId: string
  /** The other member. */
  readonly member: string
  /** What this host has, and what the other one has. */
  readonly here: string
  readonly there: string
  /** For people: both sides, what comes of it and what to do. */
  readonly message: string
}

/** Tells one from all others, and from the same one with other figures. */
export function inconsistencyId({ kind, overlayId, member, here, there }: Inconsistency): string {
  return JSON.stringify([kind, overlayId, member, here, there])
}

/** What live members have told of overlays, against the networks and the VXLAN port of this host. */
export function overlayInconsistencies(
  networks: readonly Network[],
  elsewhere: Iterable<KnownOverlay>,
  port: number,
): Inconsistency[] {
  const ours = new Map(networks.map((network) => [network.overlayId, network]))
  const byVni = new Map(networks.map((network) => [network.vni, network]))
  const found: Inconsistency[] = []
  for (const theirs of elsewhere) {
    const same = ours.get(theirs.overlayId)
    const other = byVni.get(theirs.vni)
    if (same !== undefined) found.push(...overlayMismatches(same, theirs, port))
    else if (other !== undefined) found.push(sharedVni(other, theirs))
  }
  return found
}

function* overlayMismatches(
  ours: Network,
  theirs: KnownOverlay,
  port: number,
): Generator<Inconsistency> {
  const { overlayId, vni, mtu } = ours
  const { member } = theirs
  const where = `overlay "${overlayId}": `
  if (theirs.port !== undefined && port !== theirs.port) {
    const message =
      `${where}VXLAN port ${port} here, ${theirs.port} on member ${member}; containers of the two hosts do not ` +
      'reach each other. Give all hosts the same VXLAN_PORT'
    yield { kind: 'port', overlayId, member, here: `${port}`, there: `${theirs.port}`, message }
  }
  if (vni !== theirs.vni) {
    const message =
      `${where}VNI ${vni} here, ${theirs.vni} on member ${member}; containers of the two hosts do not ` +
      'reach each other. Remove the network on one of them and create it again'
    yield { kind: 'vni', overlayId, member, here: `${vni}`, there: `${theirs.vni}`, message }
  }
  const [here, there] = [ours.pools, theirs.pools].map((pools) => pools.toSorted().join(', '))
  if (here !== there) {
    const message =
      `${where}subnets ${here || 'none'} here, ${there || 'none'} on member ${member}; remove the network ` +
      'on one of the two hosts and create it again with the same --subnet'
    yield { kind: 'subnets', overlayId, member, here: here!, there: there!, message }
  }
  if (mtu !== theirs.mtu) {
    const [larger, least] = mtu > theirs.mtu ? ['this host', theirs.mtu] : [`member ${member}`, mtu]
    const message =
      `${where}MTU ${mtu} here, ${theirs.mtu} on member ${member}; larger packets from ${larger} are lost. ` +
      `Remove the network on ${larger} and create it again: it then takes ${least}, unless -o ` +
      'com.docker.network.driver.mtu= says otherwise'
    yield { kind: 'mtu', overlayId, member, here: `${mtu}`, there: `${theirs.mtu}`, message }
  }
}

function sharedVni(ours: Network, theirs: KnownOverlay): Inconsistency {
  const { overlayId, vni } = ours
  const { member } = theirs
  const message =
    `overlay "${overlayId}" here and overlay "${theirs.overlayId}" on member ${member} both have VNI ${vni}; ` +
    'remove one of the networks and create it again, where that can be with another -o vni='
  return {
    kind: 'vni-shared',
    overlayId,
    member,
    here: overlayId,
    there: theirs.overlayId,
    message,
  }
}

/** Who else claims an address or a MAC address of an overlay. */
interface Claims {
  readonly holders: (vni: Network['vni'], ip: Ip) => readonly Holder[]
  readonly macHolders: (vni: Network['vni'], mac: Mac) => readonly Holder[]
}

/**
 * Addresses and MAC addresses that an endpoint of this host and one of a live member both have. The
 * addresses of our own pools are left to address management, which knows whose they are.
 */
export function duplicateClaims(
  network: Network,
  endpoints: readonly Endpoint[],
  claims: Claims,
): Inconsistency[] {
  const { overlayId, vni } = network
  const found: Inconsistency[] = []
  const add = (
    kind: 'mac' | 'address',
    what: string,
    remedy: string,
    holders: readonly Holder[],
  ) => {
    for (const { origin, vtep, endpointId, live } of holders) {
      if (!live) continue
      const there = `${what} (endpoint ${endpointId})`
      const message =
        `overlay "${overlayId}": ${what} is that of a container here and of endpoint ${endpointId} on ` +
        `member ${origin} (${vtep}); only one of them gets packets. Stop one, or give it another ${remedy}`
      found.push({ kind, overlayId, member: origin, here: what, there, message })
    }
  }
  for (const { addresses, mac } of endpoints) {
    add('mac', `MAC address ${mac}`, '--mac-address', claims.macHolders(vni, mac))
    if (network.poolKeys.length > 0) continue
    for (const { ip } of addresses) add('address', `address ${ip}`, '--ip', claims.holders(vni, ip))
  }
  return found
}
