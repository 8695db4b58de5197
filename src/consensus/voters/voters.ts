import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import {
  type ServerHealth,
  type VotersChange,
  isSafe,
  nextVotersChange,
  sparesOf,
} from './autopilot.ts'
import type { Configuration, ServerId } from '../core/types.ts'
import type { MemberState } from '../ports.ts'
import { memberOf } from '../requests.ts'
import type { RaftServer } from '../server/server.ts'

/** A learner this many entries behind may vote: the rest reaches it in one message. */
const readyEntries = 200

interface VotersParts {
  readonly self: string
  readonly clock: Clock
  readonly logger: Logger
  readonly members: () => readonly MemberState[]
  /** How many voters the operator wants. */
  readonly wanted: number
  /** Asks a member to hold a server; null when it does not answer. */
  readonly enroll: (member: string) => Promise<ServerId | null>
}

/** A voter that was heard within this is not silent, ms. */
const quietMs = 2000
/** One that answers has been heard within this, two heartbeats, ms. */
const answeringMs = 400

/** The leader's care for the voters: carries out one change of autopilot.ts at a time. */
export class Voters {
  readonly #parts: VotersParts
  /** Servers that will not come back: their members said so. */
  readonly #gone = new Set<ServerId>()
  #leading: { readonly term: number; readonly sinceMs: number } | null = null

  constructor(parts: VotersParts) {
    this.#parts = parts
  }

  /** The member of that server has another one now, or none. */
  isGone(server: ServerId): void {
    if (this.#gone.size < 64) this.#gone.add(server)
  }

  /** Makes the change that is due, if this server leads. */
  async look(server: RaftServer): Promise<void> {
    const { raft } = server
    const { clock, logger, members, wanted } = this.#parts
    if (!server.isLeader) {
      this.#leading = null
      return
    }
    const now = clock.now()
    if (this.#leading?.term !== raft.term) this.#leading = { term: raft.term, sinceMs: now }
    if (raft.log.inForce().since > raft.commit) return
    const { configuration } = raft
    const change = nextVotersChange({
      self: raft.id,
      configuration,
      wanted,
      health: (id) => this.#healthOf(server, id),
      spares: sparesOf(members(), configuration, now),
    })
    if (change === null) return
    const { next, why } = await this.#prepare(change, configuration)
    if (next === null || raft.configuration !== configuration) return
    if (await server.configure(next))
      logger.info(`voters: ${next.voters.map(memberOf).join(', ')} (${why})`, {
        learners: next.learners.map(memberOf),
      })
  }

  /**
   * Proposes a configuration without that server, because its member leaves. Not while most of the
   * others are silent: they could not commit it, nor elect a leader once the server has stopped.
   */
  async remove(server: RaftServer, id: ServerId): Promise<void> {
    const { voters, learners } = server.raft.configuration
    const not = (other: ServerId): boolean => other !== id
    const next = { voters: voters.filter(not), learners: learners.filter(not) }
    if (isSafe(next, (voter) => this.#healthOf(server, voter))) await server.configure(next)
  }

  async #prepare(
    change: VotersChange,
    { voters, learners }: Configuration,
  ): Promise<{ next: Configuration | null; why: string }> {
    if (change.kind === 'configure') return { next: change.configuration, why: change.why }
    const id = await this.#parts.enroll(change.member)
    if (id === null || memberOf(id) !== change.member) return { next: null, why: '' }
    this.#gone.delete(id)
    return { next: { voters, learners: [...learners, id] }, why: `${change.member} learns` }
  }

  #healthOf(server: RaftServer, id: ServerId): ServerHealth {
    const { self, members, clock } = this.#parts
    const { raft } = server
    if (memberOf(id) === self)
      return { silentMs: 0, isAnswering: true, isGone: id !== raft.id, isReady: true }
    const member = members().find(({ name }) => name === memberOf(id))
    const now = clock.now()
    const isDead = member?.state === 'dead' || member?.state === 'left'
    const sinceMs = this.#leading?.sinceMs ?? now
    const heardMs = server.heardMs(id)
    const unheardMs = now - Math.max(heardMs, sinceMs)
    const deadMs = isDead ? now - member.sinceMs : 0
    const progress = raft.leader?.progressOf(id)
    const { version } = raft.log.inForce()
    return {
      // A member that failure detection has known as dead is dead; one that it sees alive must be
      // heard, too.
      silentMs: unheardMs < quietMs ? 0 : Math.max(unheardMs, deadMs),
      // What a voter said before this server led says nothing of now.
      isAnswering: heardMs > sinceMs && now - heardMs <= answeringMs,
      isGone: this.#gone.has(id) || member?.state === 'left' || progress?.isLapsed === true,
      isReady:
        progress !== undefined &&
        progress.match + readyEntries > raft.log.lastIndex &&
        progress.match > 0 &&
        progress.knows >= version,
    }
  }
}
