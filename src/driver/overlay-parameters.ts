import { type OverlayError, refusal } from '../base/errors.ts'
import { type Cidr, cidrBits, cidrContains, cidrLength } from '../net/cidr.ts'
import { minMtuOfIpv6 } from '../net/mtu.ts'
import { whyNoPool } from '../net/reserved.ts'
import type { Vni } from '../net/vni.ts'
import { parseNetworkOptions } from './network-options.ts'
import type { KnownOverlay, Network } from './network-store.ts'
import type { Host } from './ports.ts'

/** For network and broadcast address, gateway and one container. */
const minHostBits = 2

/** What a new network requires of its overlay; null where the cluster or the default decides. */
interface OverlayRequest {
  readonly overlayId: string
  readonly vni: Vni | null
  readonly mtu: number | null
  readonly pools: readonly Cidr[]
  readonly encrypted: boolean
  readonly multicast: boolean
  /** The MTU that this host's underlay leaves, in bytes. */
  readonly mtuHere: number
  /** Whose addresses on the underlay no container may have. */
  readonly hosts: readonly Host[]
}

/**
 * The MTU of a new network, and the VNI that a member has published for its overlay, given the
 * overlays that the cluster has. All members of an overlay have one VNI and the same pools, and no
 * two overlays share a VNI: a network that would break either is refused, with both names.
 */
export function chooseOverlayParameters(
  request: OverlayRequest,
  known: readonly KnownOverlay[],
): { mtu: number; vni: Vni | null } {
  const same = known.filter((overlay) => overlay.overlayId === request.overlayId)
  refuseUnusablePools(request)
  for (const overlay of same) refuseMismatch(request, overlay)
  // Without an option, the least that any member of the overlay has, so that every path carries it.
  const mtu = request.mtu ?? Math.min(request.mtuHere, ...same.map((overlay) => overlay.mtu))
  refuseSmallMtu(request, mtu)
  const { overlayId, vni } = request
  const other = known.find((overlay) => overlay.vni === vni && overlay.overlayId !== overlayId)
  if (vni !== null && other !== undefined) throw vniInUse(overlayId, vni, other)
  return { mtu, vni: vni ?? same[0]?.vni ?? null }
}

function refuseUnusablePools({ pools, hosts }: OverlayRequest): void {
  for (const pool of pools) {
    const why = whyUnusable(pool, hosts)
    if (why !== null)
      throw refusal(
        'BAD_REQUEST',
        `subnet ${pool} cannot be used for containers: ${why}; give another`,
      )
  }
}

/** Why no container can have, or use, an address of that subnet; null when some can. */
export function whyUnusable(pool: Cidr, hosts: readonly Host[]): string | null {
  if (cidrBits(pool) - cidrLength(pool) < minHostBits)
    return 'it has no room for network, broadcast and gateway address and a container'
  for (const { member, vtep } of hosts)
    if (cidrContains(pool, vtep))
      return `host ${member} has ${vtep} in it, on the network between the hosts`
  return whyNoPool(pool)
}

/**
 * On a link with a smaller MTU the kernel disables IPv6, and the engine's error does not say why.
 */
function refuseSmallMtu({ overlayId, pools }: OverlayRequest, mtu: number): void {
  if (mtu >= minMtuOfIpv6 || !pools.some((pool) => cidrBits(pool) === 128)) return
  throw refusal(
    'OPTION_INVALID',
    `overlay "${overlayId}" has MTU ${mtu}, and IPv6 needs ${minMtuOfIpv6}; leave --ipv6 out, or have a ` +
      'larger MTU on every host, with -o com.docker.network.driver.mtu= or in the network between the hosts',
  )
}

/**
 * The overlay that a network with these pools of ours attaches to: the one that is called after a
 * pool and has one of them, else the first pool, IPv4 before IPv6. By value and not by place,
 * because the engine's command line sends several --subnet in any order. Null without pools of
 * ours.
 */
export function overlayOfPools(
  poolKeys: readonly string[],
  known: readonly KnownOverlay[],
): string | null {
  const present = known.find(
    (overlay) =>
      overlay.poolKeys?.includes(overlay.overlayId) === true &&
      sharedPool(poolKeys, overlay) !== null,
  )
  const isIpv6 = (key: string): boolean => key.includes(':')
  const [first] = poolKeys.toSorted((a, b) => +isIpv6(a) - +isIpv6(b) || (a < b ? -1 : 1))
  return present?.overlayId ?? first ?? null
}

/** One pool is one overlay, whatever the overlay's other pools are. */
export function refuseSharedPool(
  { overlayId, poolKeys }: { readonly overlayId: string; readonly poolKeys: readonly string[] },
  overlay: KnownOverlay,
): void {
  const shared = sharedPool(poolKeys, overlay)
  if (shared === null || overlay.overlayId === overlayId) return
  const subnets = overlay.pools.map((pool) => `--subnet ${pool}`).join(' ')
  throw refusal(
    'OVERLAY_CONFLICT',
    `subnet ${shared} of overlay "${overlayId}" belongs to overlay "${overlay.overlayId}" on member ` +
      `${overlay.member}; to attach to that one give ${subnets}, otherwise another subnet`,
  )
}

/** The key of a pool of ours that an overlay has, too; null when there is none. */
export function sharedPool(poolKeys: readonly string[], overlay: KnownOverlay): string | null {
  return poolKeys.find((key) => overlay.poolKeys?.includes(key)) ?? null
}

function refuseMismatch(request: OverlayRequest, overlay: KnownOverlay): void {
  const where = `overlay "${request.overlayId}" on member ${overlay.member}`
  if (request.vni !== null && request.vni !== overlay.vni)
    throw otherVni(overlay.overlayId, request.vni, overlay)
  if (request.encrypted !== overlay.encrypted) throw otherEncryption(request, overlay.member)
  if (request.multicast !== (overlay.multicast ?? false)) {
    const [how, remedy] = request.multicast ? ['off', 'without'] : ['on', 'with']
    throw refusal(
      'OVERLAY_CONFLICT',
      `${where} has multicast ${how}; create the network ${remedy} -o multicast=on here too, or ` +
        'give it another -o overlay= name',
    )
  }
  const wanted = request.pools.toSorted().join(', ')
  const has = overlay.pools.toSorted().join(', ')
  const { added = [] } = overlay
  const isSame =
    request.pools.every((pool) => overlay.pools.includes(pool)) &&
    overlay.pools.every((pool) => request.pools.includes(pool) || added.includes(pool))
  if (!isSame)
    throw refusal(
      'OVERLAY_CONFLICT',
      `${where} has the subnets ${has || 'none'}, not ${wanted || 'none'}; ` +
        `give ${overlay.pools.map((pool) => `--subnet ${pool}`).join(' ') || 'none'}, or another -o overlay= name`,
    )
}

/** The overlay has another VNI on a member. */
export function otherVni(
  overlayId: string,
  wanted: Vni,
  { vni, member }: Pick<KnownOverlay, 'vni' | 'member'>,
): OverlayError {
  return refusal(
    'OVERLAY_CONFLICT',
    `overlay "${overlayId}" on member ${member} has VNI ${vni}, not ${wanted}; leave -o vni= out, or give the same`,
  )
}

/** The overlay is encrypted on a member and not here, or the other way round. */
export function otherEncryption(
  { overlayId, encrypted }: Pick<OverlayRequest, 'overlayId' | 'encrypted'>,
  member: string,
): OverlayError {
  const [how, remedy] = encrypted ? ['not encrypted', 'without'] : ['encrypted', 'with']
  return refusal(
    'OVERLAY_CONFLICT',
    `overlay "${overlayId}" on member ${member} is ${how}; create the network ${remedy} -o encrypted ` +
      'here too, or give it another -o overlay= name',
  )
}

/** Another overlay has the VNI. */
export function vniInUse(
  overlayId: string,
  vni: Vni,
  other: Pick<KnownOverlay, 'overlayId' | 'member'>,
): OverlayError {
  return refusal(
    'VNI_IN_USE',
    `VNI ${vni} for overlay "${overlayId}" is in use by overlay "${other.overlayId}" ` +
      `on member ${other.member}; choose another -o vni=, or none`,
  )
}

/**
 * The MTU that a network without one of its own takes from another member's part of its overlay;
 * null to keep its own. The least of the overlay reaches everywhere; below what IPv6 needs nobody
 * follows, so that no single member can make all others useless.
 */
export function followedMtu(
  { mtu, options }: Pick<Network, 'mtu' | 'options'>,
  elsewhere: Pick<KnownOverlay, 'mtu'>,
): number | null {
  if (parseNetworkOptions(options).mtu !== null) return null
  return elsewhere.mtu < mtu && elsewhere.mtu >= minMtuOfIpv6 ? elsewhere.mtu : null
}

/**
 * The fault of an overlay's MTU on this host, whose underlay leaves `mtuHere` bytes; null when it
 * fits.
 */
export function mtuFault(overlayId: string, mtu: number, mtuHere: number): string | null {
  if (mtu <= mtuHere) return null
  return (
    `overlay "${overlayId}" has MTU ${mtu}, and the network between the hosts leaves ${mtuHere} here; larger packets ` +
    "arrive in fragments or not at all. Make that network larger, or remove the overlay's network on every " +
    'host and create it again with a smaller -o com.docker.network.driver.mtu=, or none'
  )
}

/**
 * Whether swarm gave this id: 25 digits of base 36. A network of swarm is one overlay on all its
 * nodes, with the network's id; an id that an engine chose, 64 hexadecimal digits, is known to one
 * host only.
 */
export function isSwarmId(networkId: string): boolean {
  return /^[0-9a-z]{25}$/.test(networkId)
}
