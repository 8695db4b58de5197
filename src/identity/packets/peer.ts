import type { KeyObject } from 'node:crypto'
import type { Endpoint } from '../streams/transport.ts'
import { ReplayWindow } from './replay-window.ts'
import { type PacketHeader, decodeEndpoint } from './sealed-packet.ts'

type Early = { header: PacketHeader; plain: Uint8Array; receivedAt: number }

/** What is known of another member's session, and what waits for it. */
export interface Peer {
  readonly endpoint: Endpoint
  readonly bytes: Uint8Array
  /** Its session, once it has returned a challenge; with it the window and the keys by epoch. */
  session: Uint8Array | null
  window: ReplayWindow
  keys: Map<number, KeyObject>
  challenge: Uint8Array | null
  drawnAt: number
  askedAt: number
  repliedAt: number
  /** What came before the answer that confirms its session, overtaking it. */
  early: Early[]
  held: { readonly plain: Uint8Array; readonly at: number }[]
}

/** `bytes` is the endpoint as it stands in packets. */
export function newPeer(bytes: Uint8Array): Peer {
  return {
    endpoint: decodeEndpoint(bytes),
    bytes,
    session: null,
    window: new ReplayWindow(0),
    keys: new Map(),
    challenge: null,
    drawnAt: 0,
    askedAt: Number.NEGATIVE_INFINITY,
    repliedAt: Number.NEGATIVE_INFINITY,
    early: [],
    held: [],
  }
}
