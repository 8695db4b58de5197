import { refusal } from '../base/errors.ts'
import { type Cidr, cidrBits } from '../net/cidr.ts'
import { minMtuOfIpv6 } from '../net/mtu.ts'
import { whyReserved } from '../net/reserved.ts'
import { type Vni, vniOfOverlay } from '../net/vni.ts'
import type { OverlayClaim } from './network.ts'

/** An overlay as a member has told it. */
export interface KnownOverlay extends OverlayClaim {
  readonly member: string
  /** The UDP port at which it takes VXLAN, if it has said so. */
  readonly port?: number | undefined
}

/** What a new network wants of its overlay; null where the cluster or the default may decide. */
interface OverlayRequest {
  readonly overlayId: string
  readonly vni: Vni | null
  readonly mtu: number | null
  readonly pools: readonly Cidr[]
  /** The MTU that this host's underlay leaves, in bytes. */
  readonly mtuHere: number
}

/**
 * What a new network's VNI and MTU are, given what the cluster already knows. All members that take
 * part in an overlay have one VNI and the same pools, and no two overlays share a VNI: a network that
 * would break either is refused, with both names.
 */
export function chooseOverlayParameters(
  wish: OverlayRequest,
  known: readonly KnownOverlay[],
): { vni: Vni; mtu: number } {
  const same = known.filter((overlay) => overlay.overlayId === wish.overlayId)
  refuseReservedPools(wish)
  for (const overlay of same) refuseMismatch(wish, overlay)
  const mtu = chooseMtu(wish, same)
  refuseSmallMtu(wish, mtu)
  return { vni: same[0]?.vni ?? freeVni(wish, known), mtu }
}

function refuseReservedPools({ pools }: OverlayRequest): void {
  for (const pool of pools) {
    const why = whyReserved(pool)
    if (why !== null)
      throw refusal('BAD_REQUEST', `subnet ${pool} is none for containers: ${why}; give another`)
  }
}

/** Containers on a link with less than that would get no IPv6 address, and the engine would not say why. */
function refuseSmallMtu({ overlayId, pools }: OverlayRequest, mtu: number): void {
  if (mtu >= minMtuOfIpv6 || !pools.some((pool) => cidrBits(pool) === 128)) return
  throw refusal(
    'OPTION_INVALID',
    `overlay "${overlayId}" has MTU ${mtu}, and IPv6 needs ${minMtuOfIpv6}; leave --ipv6 out, or have a ` +
      'larger MTU on every host, with -o com.docker.network.driver.mtu= or in the network between the hosts',
  )
}

function refuseMismatch(wish: OverlayRequest, overlay: KnownOverlay): void {
  const where = `overlay "${wish.overlayId}" on member ${overlay.member}`
  if (wish.vni !== null && wish.vni !== overlay.vni)
    throw refusal(
      'OVERLAY_CONFLICT',
      `${where} has VNI ${overlay.vni}, not ${wish.vni}; leave -o vni= out, or give the same`,
    )
  const wanted = wish.pools.toSorted().join(', ')
  const has = overlay.pools.toSorted().join(', ')
  if (wanted !== has)
    throw refusal(
      'OVERLAY_CONFLICT',
      `${where} has the subnets ${has || 'none'}, not ${wanted || 'none'}; ` +
        'give the same --subnet on every host, or another -o overlay= name',
    )
}

function freeVni(wish: OverlayRequest, known: readonly KnownOverlay[]): Vni {
  const byVni = new Map(known.map((overlay) => [overlay.vni, overlay]))
  if (wish.vni !== null) {
    const other = byVni.get(wish.vni)
    if (other === undefined) return wish.vni
    throw refusal(
      'VNI_IN_USE',
      `VNI ${wish.vni} for overlay "${wish.overlayId}" is in use by overlay "${other.overlayId}" ` +
        `on member ${other.member}; choose another -o vni=, or none`,
    )
  }
  const vni = vniOfOverlay(wish.overlayId, (candidate) => byVni.has(candidate))
  if (vni !== null) return vni
  throw refusal('VNI_IN_USE', 'all VNIs are in use; remove overlays that are not needed')
}

/** What is wrong with an overlay's MTU on this host, whose underlay leaves `mtuHere` bytes; null when nothing is. */
export function mtuFault(overlayId: string, mtu: number, mtuHere: number): string | null {
  if (mtu <= mtuHere) return null
  return (
    `overlay "${overlayId}" has MTU ${mtu}, and the network between the hosts leaves ${mtuHere} here; larger packets ` +
    "arrive in fragments or not at all. Make that network larger, or remove the overlay's network on every " +
    'host and create it again with a smaller -o com.docker.network.driver.mtu=, or none'
  )
}

/** What the operator asked for, else the least that any member of the overlay has: no hole on any path. */
function chooseMtu(wish: OverlayRequest, same: readonly KnownOverlay[]): number {
  return wish.mtu ?? Math.min(wish.mtuHere, ...same.map((overlay) => overlay.mtu))
}
