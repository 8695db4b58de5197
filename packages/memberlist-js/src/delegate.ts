import type { SocketAddress } from './socket-address.ts'
import type { Member } from './member.ts'

/**
 * What the application adds to the protocol. All of it is optional, called synchronously and should
 * be quick: probes wait meanwhile. Byte arrays handed in are only valid during the call, unless
 * noted. An error that is thrown here, other than by `meta`, is raised as an uncaught exception and
 * does not harm the list.
 */
export interface Delegate {
  /** Our meta, at most 512 bytes. Asked for at start and by `updateMeta()`. */
  meta?(): Uint8Array
  /**
   * User payloads for a packet that is about to go to somebody. The sum of `length + overhead` must
   * not exceed `limit`. What is returned counts as sent.
   */
  drain?(overhead: number, limit: number): readonly Uint8Array[]
  /** Our part of a full state exchange, at most 20 MiB. */
  localState?(join: boolean): Uint8Array
  /**
   * The other side's part. `from` is where the stream came from or went to. Not called for empty
   * state.
   */
  mergeState?(state: Uint8Array, join: boolean, from: SocketAddress): void
  /** Bytes to add to each answer to a direct probe; they must fit into a packet. */
  ackPayload?(): Uint8Array | undefined
  /** A direct probe was answered. */
  onAck?(member: Member, rttMs: number, payload: Uint8Array): void
  /**
   * Whether to believe that a member is alive; a string or `false` refuses it. Asked before news of
   * it is believed.
   */
  acceptAlive?(member: Member): true | false | string
  /**
   * Whether to merge with the cluster of these members, on a join either way; a string is the
   * reason why not.
   */
  acceptMerge?(members: readonly Member[]): true | string
  /** A user message came. The bytes may be kept. */
  onMessage?(message: Uint8Array, from: SocketAddress): void
}
