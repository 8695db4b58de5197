/** Which peers the WireGuard devices are to have, and by which device a host is sent to. */
import { parseIpInCidr } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import type { ActualWireGuardPeer, WireGuardPeer, WireGuardSlot } from '../wireguard.ts'
import { type Rotation, type WireGuardKeys, hasSpare, slotOf } from './key-rotation.ts'

/** Starts a session at once, also where nothing is sent, s. */
const rotationKeepaliveSeconds = 5

/** A member that shares an encrypted overlay with this host. */
export interface EncryptedMember {
  readonly vtep: Ip
  readonly publicKey: string
  readonly port: number
  /** Its key on the spare device while it replaces its own; null otherwise. */
  readonly spareKey: string | null
}

/** This host and the members that share encrypted overlays with it. */
export interface EncryptedHosts {
  readonly own: WireGuardKeys
  readonly members: readonly EncryptedMember[]
  /** Of two hosts' public keys; null where this host has no key of the cluster's. */
  readonly presharedKey: (own: string, other: string) => string | null
}

/** What the two devices have. */
type FoundPeers = Readonly<Record<WireGuardSlot, readonly ActualWireGuardPeer[]>>

/** The UDP port of the spare device: the next one, or the one before the last. */
export function sparePort(port: number): number {
  return port < 65_535 ? port + 1 : port - 1
}

/**
 * The peers that a device is to have. Those that it has, and of which `keeps` says that their
 * member is not known yet, stay.
 */
export function peersOf(
  slot: WireGuardSlot,
  hosts: EncryptedHosts,
  found: readonly ActualWireGuardPeer[],
  keeps: (vtep: Ip) => boolean,
): WireGuardPeer[] {
  const { own, members } = hosts
  const paired = slot === 'main' ? members : members.filter((member) => hasSpare({ own, member }))
  const vteps = new Set(members.map(({ vtep }) => vtep))
  const stale = found.flatMap(({ allowed, endpoint, ...peer }) => {
    const vtep = vtepOf(allowed)
    if (vtep === null || endpoint === null || vteps.has(vtep) || !keeps(vtep)) return []
    const { publicKey, presharedKey, keepaliveSeconds } = peer
    return [{ publicKey, presharedKey, keepaliveSeconds, endpoint, vtep }]
  })
  return [...paired.map((member) => peerOf(slot, hosts, member)), ...stale]
}

/** The VTEPs that are to be sent to by the spare device, where `routed` are now. */
export function routedBySpare(
  { own, members }: EncryptedHosts,
  found: FoundPeers,
  routed: readonly Ip[],
): Ip[] {
  const moved = members.filter((member) => {
    const peer = (slot: WireGuardSlot) =>
      found[slot].find(({ publicKey }) => publicKey === keyOf(slot, member))
    const now = routed.includes(member.vtep) ? 'spare' : 'main'
    return slotOf({ own, member }, now, peer) === 'spare'
  })
  const known = new Set(members.map(({ vtep }) => vtep))
  const stale = found.spare.map(({ allowed }) => vtepOf(allowed))
  const unknown = routed.filter((vtep) => !known.has(vtep) && stale.includes(vtep))
  return [...moved.map(({ vtep }) => vtep), ...unknown]
}

/** The members that are not sent to by the device that the phase leads to. */
export function waitingFor(
  phase: Rotation['phase'],
  members: readonly EncryptedMember[],
  routed: readonly Ip[],
): Ip[] {
  const moved = new Set(routed)
  const vteps = members.map(({ vtep }) => vtep)
  return vteps.filter((vtep) => moved.has(vtep) !== (phase === 'moving'))
}

function peerOf(
  slot: WireGuardSlot,
  { own, presharedKey }: EncryptedHosts,
  member: EncryptedMember,
): WireGuardPeer {
  const { vtep, port } = member
  const isMain = slot === 'main'
  const publicKey = keyOf(slot, member)
  const ownKey = (isMain ? own : (own.rotation ?? own)).publicKey
  return {
    vtep,
    publicKey,
    presharedKey: presharedKey(ownKey, publicKey),
    endpoint: { ip: vtep, port: isMain ? port : sparePort(port) },
    keepaliveSeconds: hasSpare({ own, member }) ? rotationKeepaliveSeconds : 0,
  }
}

function keyOf(slot: WireGuardSlot, { publicKey, spareKey }: EncryptedMember): string {
  return slot === 'main' ? publicKey : (spareKey ?? publicKey)
}

function vtepOf(allowed: readonly string[]): Ip | null {
  return parseIpInCidr(allowed[0] ?? '')?.ip ?? null
}
