/**
 * The rules by which a host replaces its WireGuard private key without losing a packet. A session
 * is of two keys, and an address belongs to one peer of a device, so that both keys can be in use
 * only on two devices:
 *
 * 1. moving: the spare device has the new key, here and, with each peer's own key, on the others.
 *    Each side sends by the spare device once it has a session there, and hears both.
 * 2. returning: the main device has the new key, too. Each side sends by it again, once it has a
 *    session there.
 * 3. ending: the new key is announced as the only one; the spare device goes.
 *
 * When a member has no session on the spare device in time, the old key stays: moving, ending.
 */
import { generateKeyPairSync } from 'node:crypto'
import type { ActualWireGuardPeer, WireGuardSlot } from '../wireguard.ts'

/** Both sides look this often whether a session is there, ms. */
export const rotationPollMs = 1000
/** That long after it, the other side has seen the session, too, and has moved; ms. */
const settleMs = 10_000
/** A member without a session on the spare device by then is not going to have one; ms. */
const maxPhaseMs = 120_000

interface KeyPair {
  /** Base64 of 32 bytes. */
  readonly privateKey: string
  readonly publicKey: string
}

/** This host's key pair, and what replaces it, or did just now. */
export interface WireGuardKeys extends KeyPair {
  readonly rotation?: Rotation
}

export interface Rotation extends KeyPair {
  readonly phase: 'moving' | 'returning' | 'ending'
  /** When the phase began, ms since the epoch. */
  readonly sinceMs: number
}

/** X25519; JSON Web Keys have base64url. */
export function newWireGuardKeys(): KeyPair {
  const { d, x } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' })
  const base64 = (text: string): string => Buffer.from(text, 'base64url').toString('base64')
  return { privateKey: base64(d!), publicKey: base64(x!) }
}

export function keyPair({ privateKey, publicKey }: KeyPair): KeyPair {
  return { privateKey, publicKey }
}

export function startRotation(own: WireGuardKeys, next: KeyPair, nowMs: number): WireGuardKeys {
  return { ...keyPair(own), rotation: { ...next, phase: 'moving', sinceMs: nowMs } }
}

/** The key that others are told to expect on the spare device; null for none. */
export function announcedKey({ rotation }: WireGuardKeys): string | null {
  return rotation === undefined || rotation.phase === 'ending' ? null : rotation.publicKey
}

/** This host's keys and another's. */
interface Pair {
  readonly own: WireGuardKeys
  readonly member: { readonly publicKey: string; readonly spareKey: string | null }
}

/** Whether the two hosts are peers on the spare device. */
export function hasSpare({ own, member }: Pair): boolean {
  return own.rotation !== undefined || member.spareKey !== null
}

/**
 * The device by which this host sends to the other, which `now` is in use. `peer` is the other as
 * a device has it.
 */
export function slotOf(
  pair: Pair,
  now: WireGuardSlot,
  peer: (slot: WireGuardSlot) => ActualWireGuardPeer | undefined,
): WireGuardSlot {
  const { rotation } = pair.own
  const { publicKey, spareKey } = pair.member
  const isAnnounced = rotation !== undefined && rotation.phase !== 'ending'
  if (spareKey === null && !isAnnounced) return 'main'
  const isMoving = rotation?.phase === 'moving' || (spareKey !== null && spareKey !== publicKey)
  const target = isMoving ? 'spare' : 'main'
  const handshakeMs = (peer(target)?.lastHandshakeSeconds ?? 0) * 1000
  return handshakeMs > (rotation?.sinceMs ?? 0) ? target : now
}

/**
 * The keys with which the rotation goes on, or is over; null while that is not due. `movedSinceMs`
 * is since when all members are sent to by the device that the phase leads to, null while some are
 * not. Times are ms since the epoch.
 */
export function rotationStep(
  keys: WireGuardKeys,
  movedSinceMs: number | null,
  nowMs: number,
): WireGuardKeys | null {
  const { rotation } = keys
  if (rotation === undefined) return null
  const passedMs = nowMs - rotation.sinceMs
  if (rotation.phase === 'ending') return passedMs >= settleMs ? keyPair(keys) : null
  const isSettled = movedSinceMs !== null && nowMs - movedSinceMs >= settleMs
  if (!isSettled && passedMs < maxPhaseMs) return null
  const isReplaced = rotation.phase === 'moving' && isSettled
  const phase = isReplaced ? 'returning' : 'ending'
  return {
    ...keyPair(isReplaced ? rotation : keys),
    rotation: { ...keyPair(rotation), phase, sinceMs: nowMs },
  }
}
