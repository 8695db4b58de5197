import { silentLogger } from '../../../src/base/logger.ts'
import { type Random, seededRandom } from '../../../src/base/random.ts'
import { clusterDefaults } from '../../../src/cluster/sync/options.ts'
import { oidOfName } from '../../../src/cluster/log/digest.ts'
import { SyncProtocol } from '../../../src/cluster/sync/protocol.ts'
import { type Frame, decodeMessage } from '../../../src/cluster/wire/frames.ts'
import type { GossipTransport, MemberState } from '../../../src/cluster/gossip/gossip-transport.ts'
import { encodeMeta } from '../../../src/cluster/wire/piggyback.ts'
import { MemberTable } from '../../../src/cluster/members/member-table.ts'
import { SignedLogs } from '../../../src/cluster/log/signed-logs.ts'
import { Sender } from '../../../src/cluster/sync/sender.ts'
import { Replica } from '../../../src/cluster/log/replica.ts'
import type { SyncContext } from '../../../src/cluster/sync/context.ts'
import type { Ip } from '../../../src/net/ip.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

/** A frame on its way to a member. */
export interface Sent {
  readonly member: string
  readonly frame: Frame
}

/**
 * What the parts of the protocol work with, over a transport that only notes what is sent, or does
 * what it is told.
 */
export class Fixture {
  readonly clock: VirtualClock
  readonly random: Random = seededRandom(1)
  readonly options = clusterDefaults
  readonly members: MemberTable
  readonly replica: Replica
  readonly gossip: GossipTransport
  readonly sender: Sender
  sent: Sent[] = []
  /** How often membership was refreshed. */
  refreshes = 0

  constructor({
    name = 'us',
    clock = new VirtualClock(),
    send = (member, bytes) => {
      for (const frame of decodeMessage(bytes)!.frames) this.sent.push({ member, frame })
    },
  }: {
    name?: string
    clock?: VirtualClock
    send?: (member: string, bytes: Uint8Array) => void
  } = {}) {
    const self = { name, address: '192.0.2.1' as Ip }
    this.clock = clock
    this.members = new MemberTable(self, 0)
    this.replica = new Replica({ ...self, epoch: 5 }, clusterDefaults, () => {})
    this.gossip = {
      maxPacketPayload: 1350,
      start: async () => {},
      join: async () => ({ contacted: 0, own: 0, errors: [] }),
      updateMeta: () => {},
      refresh: () => void this.refreshes++,
      sendUnreliable: send,
      sendReliable: async (member, bytes) => send(member, bytes),
      leave: async () => {},
      close: async () => {},
    }
    this.sender = new Sender(this.gossip, this.replica)
  }

  get syncContext(): SyncContext {
    const { clock, random, options, replica, members, sender } = this
    const signedLogs = new SignedLogs({ clock, members, replica, signatures: null })
    return { clock, random, options, replica, members, sender, signedLogs }
  }

  /** Gossip says this of these members. */
  member(state: MemberState, ...names: readonly string[]): void {
    const meta = encodeMeta({ epoch: 5, address: '192.0.2.2' as Ip })
    for (const name of names) {
      const host = '192.0.2.2' as Ip
      const member = this.members.update({ name, host, port: 7946, state, meta }, this.clock.now())
      if (member !== null) this.replica.member(member, this.clock.now())
    }
  }

  /** What was sent of one kind since it was asked last. */
  take<K extends Frame['kind']>(kind: K): { member: string; frame: Extract<Frame, { kind: K }> }[] {
    const sent = this.sent as { member: string; frame: Extract<Frame, { kind: K }> }[]
    this.sent = []
    return sent.filter(({ frame }) => frame.kind === kind)
  }

  /** The whole protocol in this room. */
  exchange(): SyncProtocol {
    const { clock, random, options, replica, members, gossip } = this
    return new SyncProtocol({
      clock,
      random,
      options,
      replica,
      members,
      gossip,
      signatures: null,
      logger: silentLogger,
      onSynced: () => {},
      onOwnAhead: () => {},
      onLeave: () => {},
      onRequest: () => {},
      onAnswer: () => {},
      onMessage: () => {},
    })
  }
}

/** `count` names, each with the oid that messages call it by. */
export function namesOf(count: number, stem = 'host'): { name: string; oid: string }[] {
  return Array.from({ length: count }, (_, i) => {
    const name = `${stem}-${i}`
    return { name, oid: oidOfName(name) }
  })
}
