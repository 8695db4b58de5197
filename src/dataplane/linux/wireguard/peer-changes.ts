/** What to write so that a WireGuard device has just the wanted peers. */
import type { ActualWireGuardPeer, WireGuardPeer } from '../../wireguard.ts'
import { ipBits } from '../../../net/ip.ts'
import type { PeerChange } from './messages.ts'

/**
 * The differences, removals first: an allowed address belongs to one peer, and moves with a set. A
 * peer that is as it should be is not written, so its session goes on.
 */
export function peerChanges(
  wanted: readonly WireGuardPeer[],
  actual: readonly ActualWireGuardPeer[],
): PeerChange[] {
  const keys = new Set(wanted.map(({ publicKey }) => publicKey))
  const found = new Map(actual.map((peer) => [peer.publicKey, peer]))
  const gone = actual.filter(({ publicKey }) => !keys.has(publicKey))
  const changed = wanted.filter((peer) => !isSame(peer, found.get(peer.publicKey)))
  return [
    ...gone.map(({ publicKey }) => ({ op: 'remove' as const, publicKey })),
    ...changed.map((peer) => ({ op: 'set' as const, peer })),
  ]
}

function isSame(wanted: WireGuardPeer, actual: ActualWireGuardPeer | undefined): boolean {
  if (actual === undefined) return false
  const { presharedKey, endpoint, keepaliveSeconds, vtep } = wanted
  return (
    actual.presharedKey === presharedKey &&
    actual.endpoint?.ip === endpoint.ip &&
    actual.endpoint.port === endpoint.port &&
    actual.keepaliveSeconds === keepaliveSeconds &&
    actual.allowed.length === 1 &&
    actual.allowed[0] === `${vtep}/${ipBits(vtep)}`
  )
}
