/**
 * One server of the cluster: the member's name, and where its state begins. A member that lost its
 * disk comes back under another id, because it no longer knows its votes and entries (thesis 3.8).
 */
export type ServerId = string

/** Voters count for elections and commitment; learners only receive the log (thesis 4.2.1). */
export interface Configuration {
  readonly voters: readonly ServerId[]
  readonly learners: readonly ServerId[]
}

interface EntryPlace {
  readonly index: number
  readonly term: number
  /** Wall clock of the leader that made it, ms; never less than its predecessor's. */
  readonly timeMs: number
}

/**
 * A leader begins its term with an `empty` entry (thesis 6.4); `version` raises the command
 * version.
 */
export type EntryContent =
  | { readonly kind: 'empty' }
  | { readonly kind: 'command'; readonly data: Uint8Array }
  | { readonly kind: 'configuration'; readonly configuration: Configuration }
  | { readonly kind: 'version'; readonly version: number }

export type Entry = EntryPlace & EntryContent

/** Everything up to `index`, in place of the entries (thesis 5). */
export interface Snapshot {
  readonly index: number
  readonly term: number
  readonly timeMs: number
  readonly configuration: Configuration
  readonly version: number
  /** The state machine's bytes. */
  readonly data: Uint8Array
}

/** What must be on the disk before a message of that term leaves (thesis figure 3.1). */
interface HardState {
  readonly term: number
  readonly votedFor: ServerId | null
}

/** What a server has on its disk. */
export interface Persistent extends HardState {
  readonly snapshot: Snapshot
  readonly entries: readonly Entry[]
}

/**
 * A message between servers. Terms and indexes as in thesis figures 3.1, 5.3; the rest is told
 * here.
 */
export type Message = { readonly term: number } & (
  | {
      readonly kind: 'vote'
      /** Would you vote for me in `term`? Changes nothing where it is answered (thesis 9.6). */
      readonly isPre: boolean
      /** The leader asked for this election: no lease stands against it (thesis 3.10). */
      readonly isTransfer: boolean
      readonly lastIndex: number
      readonly lastTerm: number
      /** The newest command version that the candidate can apply. */
      readonly knows: number
    }
  | { readonly kind: 'voted'; readonly isPre: boolean; readonly granted: boolean }
  | {
      readonly kind: 'append'
      readonly prevIndex: number
      readonly prevTerm: number
      readonly commit: number
      /** Number of the leader's latest round of messages, which the answer repeats (thesis 6.4). */
      readonly round: number
      readonly entries: readonly Entry[]
    }
  | {
      readonly kind: 'appended'
      readonly round: number
      /** Up to where the log agrees with the leader's; 0 when refused. */
      readonly match: number
      /** When refused: the `prevIndex` that was, and the last entry that may agree; else 0. */
      readonly rejected: number
      readonly hintIndex: number
      readonly hintTerm: number
      readonly knows: number
    }
  | {
      readonly kind: 'snapshot'
      readonly round: number
      /** The snapshot with its bytes from `offset` on, out of `total`. */
      readonly snapshot: Snapshot
      readonly offset: number
      readonly total: number
    }
  | {
      readonly kind: 'received'
      readonly round: number
      /** Of which snapshot how many bytes are there. */
      readonly index: number
      readonly offset: number
    }
  | { readonly kind: 'timeout-now' }
)

export type MessageOf<K extends Message['kind']> = Extract<Message, { kind: K }>

export type Role = 'leader' | 'follower' | 'pre-candidate' | 'candidate'

/** What to do after a step, in this order: write, send, apply, answer reads. */
export interface Ready {
  /** To be written when not null. */
  readonly hardState: HardState | null
  /** Takes the place of the whole log, and of the state machine's state, when not null. */
  readonly snapshot: Snapshot | null
  /** These take the place of all entries from the first of them on. */
  readonly entries: readonly Entry[]
  /** To be sent after all of that is durable. */
  readonly messages: readonly { readonly to: ServerId; readonly message: Message }[]
  /** Committed entries, to be applied in order. */
  readonly committed: readonly Entry[]
  /** Reads that may be answered once everything up to `index` is applied. */
  readonly reads: readonly { readonly id: number; readonly index: number }[]
}

/** Bounds. Ticks are the driver's: 100 ms each. */
export const limits = {
  /** A follower without a leader campaigns after this many ticks, up to twice as many. */
  electionTicks: 10,
  /** A pre-vote, which costs nothing, is asked for again after this many, up to twice as many. */
  preVoteTicks: 3,
  heartbeatTicks: 2,
  /** Entries in one message, bytes; one entry may be longer. */
  maxAppendBytes: 64 * 1024,
  maxAppendEntries: 1024,
  /** Messages with entries under way to one follower. */
  maxInflight: 16,
  /** Beyond, a leader takes no proposals until more is committed. */
  maxUncommittedBytes: 1024 * 1024,
  maxChunkBytes: 128 * 1024,
  maxServers: 15,
  /** A follower that refuses this many heartbeats in a row, 2 s, is not just late. */
  maxLapses: 10,
  /**
   * A message whose term is further ahead than this is no message of ours: see docs/consensus.md.
   */
  maxTermJump: 1_000_000,
  maxTerm: 2 ** 48,
  /** Entries kept after a snapshot for followers that are a little behind. */
  trailingEntries: 256,
} as const

/** What an entry counts for in limits, bytes. */
export function entryBytes(entry: Entry): number {
  return 32 + (entry.kind === 'command' ? entry.data.length : 64)
}
