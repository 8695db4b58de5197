import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/logger.ts'
import type { Random } from '../base/random.ts'

/** Where in the log a command stands when it is applied. The same on every voter. */
export interface AppliedAt {
  /** Index of the log entry; rises with every command, with gaps. */
  readonly index: number
  /**
   * The leader's wall clock when it proposed the entry, ms; never less than that of an earlier
   * entry.
   */
  readonly timeMs: number
  /**
   * The command version that all voters had agreed on at this entry; see `StateMachine.version`.
   */
  readonly version: number
  /** Name of the member that submitted the command, as its channel identified it. */
  readonly from: string
}

/**
 * What the voters replicate (thesis 3.1). Every voter applies the same commands in the same order,
 * so `apply` is total and deterministic: no clock, no randomness, no error thrown; what it refuses
 * is an answer like any other, and must change nothing. What throws is a bug and ends the process.
 */
export interface StateMachine {
  /**
   * The newest command version that this code can apply, from 1. A leader agrees on a higher
   * version once all voters know it, and a voter that does not know the agreed version never leads.
   */
  readonly version: number
  /** Applies one command, at most `maxCommandBytes`. The result has at most `maxResultBytes`. */
  apply(command: Uint8Array, at: AppliedAt): Uint8Array
  /** Answers a question from the present state without changing it. */
  query(question: Uint8Array): Uint8Array
  /** The whole state, at most `maxSnapshotBytes`. Equal states give equal bytes. */
  snapshot(): Uint8Array
  /** Becomes the state that `snapshot` gave. Throws only when the bytes are not of this format. */
  restore(snapshot: Uint8Array): void
}

/** The most that one command may have; a longer one is a bug of the caller. */
export const maxCommandBytes = 64 * 1024
/** The most that `apply` may return: results are kept for retries (thesis 6.3). */
export const maxResultBytes = 16 * 1024
/** The most that `query` may return. */
export const maxAnswerBytes = 1024 * 1024
/** The most that `snapshot` may return. */
export const maxSnapshotBytes = 16 * 1024 * 1024

export interface SubmitOptions {
  /** After this time the promise rejects with QUORUM, ms. */
  readonly timeoutMs: number
}

/** How any member, voter or not, uses the replicated state. */
export interface ConsensusClient {
  /**
   * Applies a command once, though it is retried (client session, thesis 6.3), and gives the
   * result. Linearizable. Rejects with QUORUM within `timeoutMs`: the message names each voter that
   * does not answer and the command that heals. Then the command may still be applied later, once
   * or not at all.
   */
  submit(command: Uint8Array, options: SubmitOptions): Promise<Uint8Array>
  /** Reads the state as of now (read-index at the leader, thesis 6.4). Rejects as `submit` does. */
  query(question: Uint8Array, options: SubmitOptions): Promise<Uint8Array>
  status(): ConsensusStatus
  /** Whether this member leads and may propose what needs one place only, such as evictions. */
  isLeader(): boolean
  /** Calls `listener` when this member begins or ends to lead. Returns how to stop. */
  onLeadership(listener: (isLeader: boolean) => void): () => void
  /**
   * Calls `listener` when this member came to belong to another cluster (founded apart and met, or
   * recovered): what it held is to be asked for again. Returns how to stop.
   */
  onClusterChange(listener: (clusterId: string) => void): () => void
}

export interface ConsensusStatus {
  /** Id of the cluster: changes when one is founded or recovered. Empty while none is known. */
  readonly clusterId: string
  /** `client` is a member that has no vote and no log. */
  readonly role: 'leader' | 'follower' | 'candidate' | 'learner' | 'client'
  readonly term: number
  readonly leader: string | null
  readonly voters: readonly string[]
  readonly learners: readonly string[]
  readonly commitIndex: number
  readonly appliedIndex: number
  /** Entries and bytes of the log after the last snapshot. */
  readonly logEntries: number
  readonly logBytes: number
  readonly snapshotBytes: number
  /** The command version agreed on; see `StateMachine.version`. */
  readonly version: number
  /** Voters from which nothing is heard, by name; empty when there is a leader and all answer. */
  readonly missing: readonly string[]
}

/** A member as failure detection sees it. */
export interface MemberState {
  readonly name: string
  readonly state: 'alive' | 'suspect' | 'dead' | 'left'
  /** When it came to be in this state, ms of `clock.now()`. */
  readonly sinceMs: number
}

/** Messages between members. A message may be lost, late, duplicated or out of order. */
export interface ConsensusTransport {
  /** Sends one message; nothing is known of its fate. */
  send(member: string, message: Uint8Array): void
  /** Sends a request and resolves with the answer; rejects with MEMBER_AWAY or DEADLINE. */
  request(member: string, message: Uint8Array, timeoutMs: number): Promise<Uint8Array>
  /** Hands over what arrives. `from` is the member that the channel identified. */
  listen(handlers: {
    readonly onMessage: (from: string, message: Uint8Array) => void
    readonly onRequest: (from: string, message: Uint8Array) => Promise<Uint8Array>
  }): void
}

/**
 * Rows of one table on this host's disk, as `store` has them: a write is whole, ordered, durable.
 */
export interface ConsensusStore {
  entries(): readonly (readonly [key: string, value: unknown])[]
  /** Makes all the changes or none; null removes a row. Durable once it resolves. */
  write(changes: readonly { readonly key: string; readonly value: unknown }[]): Promise<void>
}

/** What this room needs of the others. */
export interface ConsensusPorts {
  readonly self: string
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly transport: ConsensusTransport
  readonly store: ConsensusStore
  /** All members that failure detection knows, this one included. */
  readonly members: () => readonly MemberState[]
}

export interface ConsensusSettings {
  /** How many voters the operator wants: 1, 3, 5 or 7. */
  readonly voters: number
  /** Whether this member founds a cluster when it has none. */
  readonly founds: () => boolean
}
