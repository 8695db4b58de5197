/**
 * Raft without input and output (Ongaro's thesis; the shape is that of etcd's raft): each method is
 * a step, `ready` says what follows from the steps since. The caller writes, then sends, then
 * applies; only then it takes the next steps. No clock, no disk, no network in here.
 *
 * Invariants (thesis figure 3.2): at most one leader in a term; logs that agree at an index agree
 * before it; what is committed is in the log of every later leader; no two servers apply different
 * entries at one index.
 */
import { type Random, below } from '../../base/random.ts'
import { isQuorum } from './configuration.ts'
import { Follower } from './follower.ts'
import { Leader } from './leader.ts'
import { RaftLog } from './log.ts'
import {
  type Configuration,
  type Message,
  type MessageOf,
  type Persistent,
  type Ready,
  type Role,
  type ServerId,
  type Snapshot,
  limits,
} from './types.ts'

interface RaftOptions {
  readonly id: ServerId
  readonly random: Random
  /** The newest command version that this server can apply. */
  readonly knows: number
  readonly persistent: Persistent
}

export class Raft {
  readonly id: ServerId
  readonly knows: number
  readonly log: RaftLog
  readonly #random: Random
  #term: number
  #votedFor: ServerId | null
  #role: Role = 'follower'
  #leaderId: ServerId | null = null
  #leader: Leader | null = null
  #follower: Follower
  #votes = new Map<ServerId, boolean>()
  #commit: number
  /** Everything up to here was handed out in `ready`. */
  #handedOut: number
  #ticks = 0
  #electionTicks = 0
  /** The wall clock of the latest step, ms: stamps what a leader appends. */
  #timeMs = 0
  #isHardStateDirty = false
  #installed: Snapshot | null = null
  #messages: { to: ServerId; message: Message }[] = []
  #reads: { id: number; index: number }[] = []

  constructor({ id, random, knows, persistent }: RaftOptions) {
    this.id = id
    this.knows = knows
    this.#random = random
    this.#term = persistent.term
    this.#votedFor = persistent.votedFor
    this.log = new RaftLog(persistent.snapshot, persistent.entries)
    this.#commit = this.#handedOut = persistent.snapshot.index
    this.#follower = new Follower(this)
    this.#resetElection()
    if (this.configuration.voters.length === 1 && this.#mayCampaign) this.#ticks = Infinity
  }

  get term(): number {
    return this.#term
  }

  get role(): Role {
    return this.#role
  }

  get leaderId(): ServerId | null {
    return this.#leaderId
  }

  /** The leader's side of this server while it leads. */
  get leader(): Leader | null {
    return this.#leader
  }

  get commit(): number {
    return this.#commit
  }

  get configuration(): Configuration {
    return this.log.inForce().configuration
  }

  /** Time passes. `timeMs` is the wall clock. */
  tick(timeMs: number): void {
    this.#timeMs = timeMs
    this.#ticks++
    if (this.#leader !== null) {
      this.#leader.tick()
      this.#leader.raiseVersion(timeMs)
      if (this.#ticks < limits.electionTicks) return
      this.#ticks = 0
      if (!this.#leader.checkQuorum()) this.#becomeFollower(this.#term, null)
    } else if (this.#ticks >= this.#electionTicks && this.#mayCampaign) this.#campaign(true)
  }

  /** A message arrived. What cannot be true, and what is of an old term, changes nothing. */
  receive(from: ServerId, message: Message, timeMs: number): void {
    this.#timeMs = timeMs
    const { term } = message
    if (term > Math.min(this.#term + limits.maxTermJump, limits.maxTerm)) return
    if (message.kind === 'vote') return this.#onVote(from, message)
    if (message.kind === 'voted' && message.isPre && message.granted)
      return this.#onVoted(from, message)
    if (term < this.#term) return this.#onOldTerm(from, message)
    if (term > this.#term) this.#becomeFollower(term, null)
    switch (message.kind) {
      case 'voted':
        return this.#onVoted(from, message)
      case 'append':
      case 'snapshot':
        // At most one leader in a term: it is not us.
        if (this.#leader !== null) return
        if (this.#role !== 'follower' || this.#leaderId !== from) this.#becomeFollower(term, from)
        this.#ticks = 0
        if (message.kind === 'append') return this.#follower.onAppend(from, message)
        return this.#follower.onSnapshot(from, message)
      case 'appended':
        return this.#leader?.onAppended(from, message)
      case 'received':
        return this.#leader?.onReceived(from, message)
      case 'timeout-now':
        if (from === this.#leaderId && this.#mayCampaign) this.#campaign(false, true)
    }
  }

  /**
   * Appends commands. Returns the index of each; null where the leader takes no more, or this is
   * none.
   */
  propose(commands: readonly Uint8Array[], timeMs: number): (number | null)[] {
    this.#timeMs = timeMs
    const indexes = commands.map((data) => this.#leader?.propose(data, timeMs) ?? null)
    this.#leader?.flush()
    return indexes
  }

  /** Proposes a configuration; see `Leader.configure`. */
  configure(configuration: Configuration, timeMs: number): boolean {
    return this.#leader?.configure(configuration, timeMs) ?? false
  }

  /** Whether `ready` would say anything. */
  get isReady(): boolean {
    return (
      this.#isHardStateDirty ||
      this.#installed !== null ||
      this.#messages.length > 0 ||
      this.#reads.length > 0 ||
      this.#handedOut < this.#commit ||
      this.log.hasUnstable
    )
  }

  /**
   * What follows from the steps since the last time; committed entries of about `maxBytes` at a
   * time.
   */
  ready(maxBytes: number = limits.maxAppendBytes): Ready {
    const [snapshot, messages, reads] = [this.#installed, this.#messages, this.#reads]
    const hardState = this.#isHardStateDirty ? { term: this.#term, votedFor: this.#votedFor } : null
    this.#installed = null
    this.#isHardStateDirty = false
    this.#messages = []
    this.#reads = []
    const entries = this.log.takeUnstable()
    const committed = this.log.slice(this.#handedOut + 1, maxBytes, this.#commit)
    this.#handedOut += committed.length
    return { hardState, snapshot, entries, messages, committed, reads }
  }

  send(to: ServerId, message: Message): void {
    this.#messages.push({ to, message })
  }

  commitTo(index: number): void {
    this.#commit = Math.max(this.#commit, index)
  }

  answerRead(id: number, index: number): void {
    this.#reads.push({ id, index })
  }

  install(snapshot: Snapshot): void {
    this.log.reset(snapshot)
    this.#commit = this.#handedOut = snapshot.index
    this.#installed = snapshot
  }

  /** Only a voter that can apply all there is in its log may lead. */
  get #mayCampaign(): boolean {
    const { configuration, version } = this.log.inForce()
    return configuration.voters.includes(this.id) && version <= this.knows
  }

  /** A leader was heard of so lately that nobody else is to be elected (thesis 4.2.3). */
  get #hasLease(): boolean {
    return this.#leaderId !== null && (this.#leader !== null || this.#ticks < limits.electionTicks)
  }

  #resetElection(ticks: number = limits.electionTicks): void {
    this.#ticks = 0
    this.#electionTicks = ticks + below(this.#random, ticks)
  }

  #becomeFollower(term: number, leaderId: ServerId | null): void {
    if (term > this.#term) {
      this.#term = term
      this.#votedFor = null
      this.#isHardStateDirty = true
    }
    this.#role = 'follower'
    this.#leader = null
    this.#leaderId = leaderId
    this.#follower = new Follower(this)
    this.#resetElection()
  }

  /**
   * Asks for votes; first, with `isPre`, whether there would be enough of them (thesis 3.4, 9.6).
   */
  #campaign(isPre: boolean, isTransfer = false): void {
    this.#leaderId = null
    this.#votes = new Map([[this.id, true]])
    this.#role = isPre ? 'pre-candidate' : 'candidate'
    this.#resetElection(isPre ? limits.preVoteTicks : limits.electionTicks)
    if (!isPre) {
      this.#term++
      this.#votedFor = this.id
      this.#isHardStateDirty = true
    }
    const { lastIndex, lastTerm } = this.log
    const [term, knows] = [isPre ? this.#term + 1 : this.#term, this.knows]
    for (const to of this.configuration.voters)
      if (to !== this.id)
        this.send(to, { kind: 'vote', term, isPre, isTransfer, lastIndex, lastTerm, knows })
    this.#countVotes()
  }

  #onVote(from: ServerId, message: MessageOf<'vote'>): void {
    const { term, isPre, isTransfer } = message
    if (term > this.#term && !isTransfer && this.#hasLease) return
    if (term > this.#term && !isPre) this.#becomeFollower(term, null)
    const isFree =
      this.#votedFor === from ||
      (this.#votedFor === null && this.#leaderId === null) ||
      (isPre && term > this.#term)
    const granted = term >= this.#term && isFree && this.log.isCoveredBy(message)
    if (granted && !isPre) {
      if (this.#votedFor !== from) this.#isHardStateDirty = true
      this.#votedFor = from
      this.#ticks = 0
    }
    this.send(from, { kind: 'voted', term: granted ? term : this.#term, isPre, granted })
  }

  #onVoted(from: ServerId, { term, isPre, granted }: MessageOf<'voted'>): void {
    if (this.#role !== (isPre ? 'pre-candidate' : 'candidate')) return
    if (granted && term !== (isPre ? this.#term + 1 : this.#term)) return
    this.#votes.set(from, granted)
    this.#countVotes()
  }

  #countVotes(): void {
    const { configuration } = this
    if (isQuorum(configuration, (id) => this.#votes.get(id) === true)) {
      if (this.#role === 'pre-candidate') this.#campaign(false)
      else this.#becomeLeader()
    } else if (!isQuorum(configuration, (id) => this.#votes.get(id) !== false))
      this.#becomeFollower(this.#term, null)
  }

  #becomeLeader(): void {
    this.#role = 'leader'
    this.#leaderId = this.id
    this.#ticks = 0
    this.#leader = new Leader(this, this.#timeMs)
  }

  /** An old leader or a candidate that was away learns the present term from our answer. */
  #onOldTerm(from: ServerId, { kind }: Message): void {
    if (kind !== 'append' && kind !== 'snapshot') return
    const refused = { round: 0, match: 0, rejected: 0, hintIndex: 0, hintTerm: 0 }
    this.send(from, { kind: 'appended', term: this.#term, ...refused, knows: this.knows })
  }
}
