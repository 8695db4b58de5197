/**
 * The cluster's gossip keys, by epoch, and the rules of their rotation: install, use, remove. Each
 * step is an agreed entry, and each waits until the one before has had time to reach everybody, so
 * that at any moment all members can open what any member seals.
 */
import { createHash, hkdfSync } from 'node:crypto'
import { assert } from '../../base/errors.ts'

/** AES-256. */
export const gossipKeyBytes = 32

export interface GossipKeys {
  /** The epoch whose key seals; the others only open. */
  readonly current: number
  /** By epoch, at most one more than `current` and one less. */
  readonly keys: readonly { readonly epoch: number; readonly key: Uint8Array }[]
}

/** The keys of a new cluster. */
export function firstGossipKeys(key: Uint8Array): GossipKeys {
  return { current: 1, keys: [{ epoch: 1, key }] }
}

/** Adds the next epoch's key, which seals nothing yet. Nothing changes when it is there. */
export function installGossipKey(state: GossipKeys, key: Uint8Array): GossipKeys {
  assert(key.length === gossipKeyBytes, `a gossip key has ${gossipKeyBytes} bytes`)
  const epoch = state.current + 1
  if (keyOfEpoch(state, epoch) !== undefined) return state
  return { ...state, keys: [...state.keys, { epoch, key }] }
}

/** Seals with the next epoch's key; the one before still opens, older ones are gone. */
export function useGossipKey(state: GossipKeys): GossipKeys {
  const current = state.current + 1
  if (keyOfEpoch(state, current) === undefined) return state
  return { current, keys: state.keys.filter(({ epoch }) => epoch >= current - 1) }
}

/** Forgets all keys before the current one: what was sealed with them opens nowhere any more. */
export function removeGossipKeys(state: GossipKeys): GossipKeys {
  return { ...state, keys: state.keys.filter(({ epoch }) => epoch >= state.current) }
}

export type RotationStep = 'install' | 'use' | 'remove'

/**
 * The step that is due; null when none is. `sinceMs` is how long ago the last step was agreed on,
 * `settleMs` how long a step takes to reach every member that is not away.
 */
export function rotationDue(
  state: GossipKeys,
  sinceMs: number,
  { everyMs, settleMs }: { readonly everyMs: number; readonly settleMs: number },
): RotationStep | null {
  if (sinceMs < settleMs) return null
  if (keyOfEpoch(state, state.current + 1) !== undefined) return 'use'
  if (keyOfEpoch(state, state.current - 1) !== undefined) return 'remove'
  return sinceMs >= everyMs ? 'install' : null
}

export function keyOfEpoch(state: GossipKeys, epoch: number): Uint8Array | undefined {
  return state.keys.find((each) => each.epoch === epoch)?.key
}

/**
 * The preshared key of two hosts' WireGuard in the current epoch, base64, by HKDF-SHA-256. `a` and
 * `b` are their public keys in any order. Hosts that change the epoch within a minute of each other
 * lose nothing: a session lasts three (WireGuard's paper, section 6.1).
 */
export function presharedKey(state: GossipKeys, a: string, b: string): string {
  const key = keyOfEpoch(state, state.current)
  assert(key !== undefined, 'the current gossip key is missing')
  const info = `ts-overlay wireguard 1\0${[a, b].toSorted().join()}`
  return Buffer.from(hkdfSync('sha256', key, '', info, gossipKeyBytes)).toString('base64')
}

/** By which a member sees that what it was granted is old; it tells nothing of the keys. */
export function digestOfGrants(
  authorityPem: string,
  { current, keys }: GossipKeys,
  evicted: Iterable<string>,
): string {
  const hash = createHash('sha256').update(`grants ${current} ${authorityPem}`)
  for (const { epoch, key } of keys) hash.update(`${epoch}`).update(key)
  return hash
    .update([...evicted].join())
    .digest('hex')
    .slice(0, 32)
}
