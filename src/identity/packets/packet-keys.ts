/** What is derived of an epoch's gossip key, by HKDF-SHA-256 (RFC 5869) and HMAC. */
import { type KeyObject, createHmac, createSecretKey, hkdfSync } from 'node:crypto'
import { gossipKeyBytes } from './gossip-keys.ts'
import { type PacketHeader, hintBytes } from './sealed-packet.ts'

export const proofBytes = 16

/** Seals a sender's control packets: all members can open them. */
export function controlKey(epochKey: Uint8Array, { session, sender }: KeyScope): KeyObject {
  return derived('control', epochKey, session, sender)
}

/**
 * Seals a sender's data for one receiver, in one session of each. `secret` is theirs alone
 * (certificates/agreement.ts), so no other member can, nor who knows the epoch's key.
 */
export function dataKey(
  epochKey: Uint8Array,
  secret: Uint8Array,
  { session, sender }: KeyScope,
  receiversSession: Uint8Array,
): KeyObject {
  const salt = Buffer.concat([session, receiversSession])
  return derived('data', Buffer.concat([epochKey, secret]), salt, sender)
}

/** Shows cheaply that a packet to `receiver` may be from somebody with the epoch's key. */
export function hintOf(
  epochKey: Uint8Array,
  { session, sender }: KeyScope,
  receiver: Uint8Array,
): Buffer {
  const hmac = createHmac('sha256', epochKey).update('ts-overlay hint').update(session)
  return hmac.update(sender).update(receiver).digest().subarray(0, hintBytes)
}

/** By which a sender of challenges proves to `receiver` that it has the key of its certificate. */
export function proofOf(
  epochKey: Uint8Array,
  secret: Uint8Array,
  { session, sender, counter }: KeyScope & Pick<PacketHeader, 'counter'>,
  receiver: Uint8Array,
  challenges: Uint8Array,
): Buffer {
  const key = derived('proof', Buffer.concat([epochKey, secret]), session, sender)
  const hmac = createHmac('sha256', key).update(`${counter}\0`).update(receiver)
  return hmac.update(challenges).digest().subarray(0, proofBytes)
}

type KeyScope = Pick<PacketHeader, 'session' | 'sender'>

function derived(
  purpose: string,
  key: Uint8Array,
  salt: Uint8Array,
  sender: Uint8Array,
): KeyObject {
  const info = Buffer.concat([Buffer.from(`ts-overlay ${purpose} 2\0`), sender])
  return createSecretKey(new Uint8Array(hkdfSync('sha256', key, salt, info, gossipKeyBytes)))
}
