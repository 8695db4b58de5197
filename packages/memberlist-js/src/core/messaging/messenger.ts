import type { Config } from '../../config.ts'
import type { SocketAddress } from '../../socket-address.ts'
import type { Keyring } from '../../keyring.ts'
import type { Member } from '../../member.ts'
import type { Random } from '../../ports/random.ts'
import { PROTOCOL_WITH_CHECKSUM } from '../../rules/compatibility.ts'
import type { Transport } from '../../transport/transport.ts'
import { CHECKSUM_OVERHEAD } from '../../wire/layers/checksum.ts'
import {
  COMPOUND_HEADER,
  COMPOUND_PART_OVERHEAD,
  encodeCompound,
  MAX_COMPOUND_PARTS,
} from '../../wire/layers/compound.ts'
import { encryptionOverhead, type EncryptionVersion } from '../../wire/layers/crypt.ts'
import { labelOverhead } from '../../wire/layers/label.ts'
import { encodeMessage, type Message } from '../../wire/messages.ts'
import { openPacket, sealPacket } from '../../wire/packet.ts'
import type { ReplayFilter } from '../../wire/layers/replay-filter.ts'
import type { Counters } from '../counters.ts'
import type { KeyObject } from 'node:crypto'

export interface MessengerParts {
  readonly config: Config
  readonly transport: Transport
  readonly random: Random
  readonly counters: Counters
  readonly keyring: Keyring | undefined
  readonly label: Uint8Array
  readonly replays: ReplayFilter
  /**
   * Broadcasts for a packet: up to `most` messages, `limit` bytes in all with two bytes extra for
   * each.
   */
  readonly broadcasts: (limit: number, most: number) => Uint8Array[]
}

/** GCM allows any; memberlist has 12. */
const NONCE_BYTES = 12

/**
 * Sends and receives packets: fills them with broadcasts, puts on and takes off their layers, keeps
 * to their size.
 */
export class Messenger {
  readonly #parts: MessengerParts

  constructor(parts: MessengerParts) {
    this.#parts = parts
  }

  /** What one message may have, so that the packet with all its layers keeps to `packetBytes`. */
  get budget(): number {
    const { config, label, keyring } = this.#parts
    const protection =
      keyring === undefined ? CHECKSUM_OVERHEAD : encryptionOverhead(config.encryptionVersion)
    return config.packetBytes - labelOverhead(label.length) - protection
  }

  /** What one broadcast may have, so that it fits at least into a packet of its own. */
  get broadcastBudget(): number {
    return this.budget - COMPOUND_HEADER - COMPOUND_PART_OVERHEAD
  }

  /**
   * Sends a message and fills the packet up with broadcasts. `member` is the receiver, when it is
   * known.
   */
  send(message: Message, to: SocketAddress, member?: Member): void {
    const first = encodeMessage(message)
    const room = this.budget - COMPOUND_HEADER - COMPOUND_PART_OVERHEAD - first.length
    const more = this.#parts.broadcasts(room, MAX_COMPOUND_PARTS - 1)
    this.#dispatch([first, ...more], to, member)
  }

  /** Sends these messages in one packet, and nothing else. */
  sendExactly(messages: readonly Message[], to: SocketAddress, member?: Member): void {
    this.#dispatch(messages.map(encodeMessage), to, member)
  }

  /** Sends a packet of broadcasts; false when there are none. */
  gossip(member: Member): boolean {
    const room = this.budget - COMPOUND_HEADER
    const parts = this.#parts.broadcasts(room, MAX_COMPOUND_PARTS)
    if (parts.length > 0) this.#dispatch(parts, member, member)
    return parts.length > 0
  }

  /** Takes a packet apart. What is bad is counted by reason and dropped. */
  receive(packet: Uint8Array, onMessage: (message: Message) => void): void {
    const { config, keyring, label, counters, replays } = this.#parts
    const options = {
      label,
      skipLabelCheck: config.skipInboundLabelCheck,
      keys: keyring?.keys ?? [],
      verify: config.verifyIncoming,
      replays,
    }
    openPacket(packet, options, onMessage, (error) => counters.count(`packet-${error.code}`))
  }

  /** Key, version and a fresh nonce for what we send, unless it goes out in clear. */
  encryption(): { key: KeyObject; version: EncryptionVersion; nonce: Uint8Array } | undefined {
    const { config, keyring, random } = this.#parts
    if (keyring === undefined || !config.verifyOutgoing) return undefined
    return {
      key: keyring.primary,
      version: config.encryptionVersion,
      nonce: random.bytes(NONCE_BYTES),
    }
  }

  #dispatch(parts: readonly Uint8Array[], to: SocketAddress, member: Member | undefined): void {
    const { config, transport, label } = this.#parts
    const message = parts.length === 1 ? parts[0]! : encodeCompound(parts)
    const encryption = this.encryption()
    const packet = sealPacket(message, {
      label,
      compress: config.compression === 'all',
      checksum: encryption === undefined && takesChecksum(member),
      ...(encryption && { encryption }),
    })
    transport.send(packet, to)
  }
}

/** Authenticated encryption makes a checksum useless; without it, those who know it get one. */
function takesChecksum(member: Member | undefined): boolean {
  return member !== undefined && member.versions.protocolMax >= PROTOCOL_WITH_CHECKSUM
}
