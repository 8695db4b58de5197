/** What the cluster room shows in `/status`. */
import type { SyncProtocol } from './sync/protocol.ts'
import type { MemberTable } from './members/member-table.ts'
import type { Replica } from './log/replica.ts'
import type { Requests } from './requests.ts'

export interface ClusterStatus {
  readonly name: string
  readonly epoch: number
  readonly synced: boolean
  readonly members: readonly { name: string; address: string; state: string; self: boolean }[]
  /** Live records: our own, and those of others by visibility. */
  readonly records: { readonly own: number; readonly visible: number; readonly hidden: number }
  /** Members whose records are here, visible or not. */
  readonly origins: number
  readonly tombstones: number
  /** Members whose records are incomplete here at the moment. */
  readonly incomplete: number
  readonly epochTombstones: number
  /** Origins that write or send and are no live members here. */
  readonly unknownOrigins: number
  /** Of everything here; equal roots are equal replicas. */
  readonly root: string
  readonly queue: { readonly items: number; readonly bytes: number; readonly dropped: number }
  /** Our own versions in this epoch, and changes that have none yet. */
  readonly published: number
  readonly unpublished: number
  readonly transfers: number
  readonly requests: number
  /**
   * Since the start. `broken` and `foreign` are messages that were not understood, `forged` those
   * of another member than they say.
   */
  readonly counters: Readonly<Record<string, number>>
}

export function statusOf(parts: {
  replica: Replica
  members: MemberTable
  exchange: SyncProtocol
  requests: Requests
}): ClusterStatus {
  const { replica, members, exchange, requests } = parts
  const records = { own: 0, visible: 0, hidden: 0 }
  let tombstones = 0
  let origins = 0
  for (const { self, standing, log } of replica.origins) {
    records[self ? 'own' : standing === 'visible' ? 'visible' : 'hidden'] += log.size
    tombstones += log.tombstones
    origins++
  }
  const { queue } = exchange.disseminator
  const root = replica.digest.root()
  const hex = (word: number): string => word.toString(16).padStart(8, '0')
  return {
    name: replica.self.name ?? '',
    epoch: replica.self.log.epoch,
    synced: exchange.initialSync.done,
    members: members
      .all()
      .map(({ name, address, state, self }) => ({ name, address, state, self })),
    records,
    origins,
    tombstones,
    incomplete: replica.incomplete.size,
    epochTombstones: replica.epochTombstones.size,
    unknownOrigins: replica.unknownOrigins.size,
    root: hex(root.high) + hex(root.low),
    queue: { items: queue.size, bytes: queue.bytes, dropped: queue.dropped },
    published: replica.self.log.head,
    unpublished: exchange.own.waiting,
    transfers: exchange.server.transfers,
    requests: requests.outstanding,
    counters: {
      ...exchange.counters,
      ...exchange.signedLogs.counters,
      ...exchange.sender.counts,
      digests: exchange.antiEntropy.rounds,
    },
  }
}
