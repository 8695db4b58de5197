import type { Raft } from '../../../../src/consensus/core/raft.ts'
import { Invariants } from '../../raft/invariants.ts'
import type { Host } from '../host.ts'

/** What was seen of a server at the last look. */
interface Seen {
  commit: number
  last: number
  lastTerm: number
  applied: number
}

/**
 * Holds the servers of all hosts to the safety properties of Raft, cluster by cluster: election safety, log matching,
 * leader completeness, state machine safety. Looks at them now and then; logs and states keep what happened in between.
 */
export class RaftWatch {
  readonly #invariants = new Map<string, Invariants>()
  readonly #seen = new WeakMap<Raft, Seen>()

  /** Throws what does not hold. */
  look(hosts: readonly Host[]): void {
    for (const { process } of hosts) {
      const consensus = process?.plugin?.consensus
      const server = consensus?.server ?? null
      if (consensus === undefined || server === null) continue
      const invariants = this.#of(consensus.status().clusterId)
      const { raft } = server
      const seen = this.#seen.get(raft) ?? firstSight(raft)
      this.#seen.set(raft, seen)
      if (raft.role === 'leader') invariants.led(raft)
      if (raft.log.lastIndex !== seen.last || raft.log.lastTerm !== seen.lastTerm) {
        const from = Math.max(seen.commit, raft.log.baseIndex) + 1
        invariants.wrote(raft, raft.log.slice(from, Infinity))
      }
      if (raft.commit !== seen.commit) invariants.committed(raft, seen.commit)
      if (server.applied !== seen.applied)
        invariants.applied(raft.id, server.applied, latin1(consensus.state.snapshot()))
      seen.last = raft.log.lastIndex
      seen.lastTerm = raft.log.lastTerm
      seen.commit = raft.commit
      seen.applied = server.applied
    }
  }

  #of(clusterId: string): Invariants {
    const known = this.#invariants.get(clusterId) ?? new Invariants()
    this.#invariants.set(clusterId, known)
    return known
  }
}

function firstSight({ log }: Raft): Seen {
  return { commit: log.baseIndex, last: log.baseIndex, lastTerm: 0, applied: log.baseIndex }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}
