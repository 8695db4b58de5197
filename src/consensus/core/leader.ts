import { isQuorum, isSingleChange, quorumValue, serversOf } from './configuration.ts'
import type { RaftLog } from './log.ts'
import { Progress } from './progress.ts'
import { type Configuration, type Message, type MessageOf, type ServerId, limits } from './types.ts'

/** What a leader uses of the server that it is a role of. */
interface LeaderHost {
  readonly id: ServerId
  readonly log: RaftLog
  readonly term: number
  readonly commit: number
  /** The newest command version that this server can apply. */
  readonly knows: number
  send(to: ServerId, message: Message): void
  commitTo(index: number): void
  answerRead(id: number, index: number): void
}

/** The role of a leader for one term (thesis 3.5 to 3.6, 3.10, 4, 6.4). */
export class Leader {
  readonly #host: LeaderHost
  readonly #progress = new Map<ServerId, Progress>()
  /** The entry that began this term. Until it is committed nothing is read or reconfigured. */
  readonly #firstIndex: number
  #round = 0
  #reads: { id: number; index: number; round: number }[] = []
  #transferTo: ServerId | null = null
  #ticks = 0

  constructor(host: LeaderHost, timeMs: number) {
    this.#host = host
    this.#follow()
    this.#firstIndex = host.log.add(host.term, timeMs, { kind: 'empty' }).index
    this.#appended()
  }

  /** Whether an entry of this term is committed: then this server knows all that ever was. */
  get isEstablished(): boolean {
    return this.#host.commit >= this.#firstIndex
  }

  get transferTo(): ServerId | null {
    return this.#transferTo
  }

  progressOf(id: ServerId): Progress | undefined {
    return this.#progress.get(id)
  }

  /** Whether a majority has answered since the last time that this was asked (thesis 6.2). */
  checkQuorum(): boolean {
    const { id: self } = this.#host
    const { configuration } = this.#host.log.inForce()
    const has = isQuorum(
      configuration,
      (id) => id === self || this.#progress.get(id)?.isActive === true,
    )
    for (const progress of this.#progress.values()) progress.isActive = false
    this.#transferTo = null
    return has
  }

  tick(): void {
    if (++this.#ticks % limits.heartbeatTicks === 0) this.#heartbeat()
  }

  /**
   * Appends a command. Returns its index, or null when too much is uncommitted or leadership is
   * being given away.
   */
  propose(data: Uint8Array, timeMs: number): number | null {
    const { log, term, commit } = this.#host
    if (this.#transferTo !== null) return null
    if (log.bytesAfter(commit) + data.length > limits.maxUncommittedBytes) return null
    return log.add(term, timeMs, { kind: 'command', data }).index
  }

  /**
   * Appends a configuration. Refused (false) while an earlier one is uncommitted, before an entry
   * of this term is committed (without that rule two majorities need not meet: Ongaro's correction
   * of 2015 to thesis 4.1), when more than one voter changes, when it leaves this server out, and
   * when a new voter does not know the command version or is not a learner that has caught up.
   */
  configure(configuration: Configuration, timeMs: number): boolean {
    const { log, commit, id: self } = this.#host
    const { configuration: present, since, version } = log.inForce()
    if (!this.isEstablished || since > commit || this.#transferTo !== null) return false
    if (!isSingleChange(present, configuration) || !configuration.voters.includes(self))
      return false
    for (const id of configuration.voters) {
      const progress = this.#progress.get(id)
      if (present.voters.includes(id)) continue
      if (progress === undefined || progress.knows < version || progress.match < this.#firstIndex)
        return false
    }
    log.add(this.#host.term, timeMs, { kind: 'configuration', configuration })
    this.#follow()
    this.#appended()
    return true
  }

  /** Raises the command version to what all servers know (see `StateMachine.version`). */
  raiseVersion(timeMs: number): void {
    const { log, knows, id: self } = this.#host
    const { configuration, version } = log.inForce()
    const known = serversOf(configuration).map((id) =>
      id === self ? knows : (this.#progress.get(id)?.knows ?? 0),
    )
    const next = Math.min(...known)
    if (!this.isEstablished || next <= version) return
    log.add(this.#host.term, timeMs, { kind: 'version', version: next })
    this.#appended()
  }

  /** Sends what was proposed since, in one message each as far as it fits. */
  flush(): void {
    this.#appended()
  }

  /** Begins a read (thesis 6.4): false while nothing of this term is committed. */
  read(id: number): boolean {
    if (!this.isEstablished) return false
    this.#reads.push({ id, index: this.#host.commit, round: ++this.#round })
    for (const to of this.#progress.keys()) this.#sendAppend(to, true)
    this.#answerReads()
    return true
  }

  /**
   * Hands leadership over once that voter has the whole log (thesis 3.10). False when it is none
   * that answers.
   */
  transfer(to: ServerId): boolean {
    const { log, id: self } = this.#host
    const progress = this.#progress.get(to)
    if (to === self || progress === undefined || this.#transferTo !== null) return false
    if (!log.inForce().configuration.voters.includes(to) || !progress.isActive) return false
    this.#transferTo = to
    this.#continueTransfer(to)
    this.#sendAppend(to, true)
    return true
  }

  onAppended(from: ServerId, message: MessageOf<'appended'>): void {
    const progress = this.#heardFrom(from, message.round)
    const { log } = this.#host
    if (progress === null || message.match > log.lastIndex) return
    progress.knows = message.knows
    if (message.rejected > 0) {
      const agreement = log.hint(message.hintIndex, message.hintTerm).index
      if (progress.disagreed(message.rejected, agreement)) this.#sendAppend(from, true)
    } else if (message.match > 0) {
      if (progress.agreed(message.match)) this.#continueTransfer(from)
      this.#commit()
      this.#sendAppend(from, false)
    }
  }

  onReceived(from: ServerId, message: MessageOf<'received'>): void {
    const progress = this.#heardFrom(from, message.round)
    const sending = progress?.sending
    if (!sending || sending.snapshot.index !== message.index) return
    if (message.offset > sending.snapshot.data.length || message.offset === sending.offset) return
    sending.offset = message.offset
    this.#sendChunk(from, sending)
  }

  #heardFrom(from: ServerId, round: number): Progress | null {
    const progress = this.#progress.get(from)
    if (progress === undefined || round > this.#round) return null
    progress.isActive = true
    progress.round = Math.max(progress.round, round)
    this.#answerReads()
    return progress
  }

  /** Keeps progress of exactly those that are in the configuration. */
  #follow(): void {
    const { log, id: self } = this.#host
    const servers = serversOf(log.inForce().configuration).filter((id) => id !== self)
    for (const id of this.#progress.keys()) if (!servers.includes(id)) this.#progress.delete(id)
    for (const id of servers)
      if (!this.#progress.has(id)) this.#progress.set(id, new Progress(log.lastIndex + 1))
  }

  #appended(): void {
    this.#commit()
    for (const to of this.#progress.keys()) this.#sendAppend(to, false)
  }

  /**
   * Commits what a majority has. Entries of earlier terms are committed only along with one of this
   * term (thesis 3.6.2). Our own log counts: it is written before anything leaves.
   */
  #commit(): void {
    const { log, term, commit, id: self } = this.#host
    const index = quorumValue(log.inForce().configuration, (id) =>
      id === self ? log.lastIndex : (this.#progress.get(id)?.match ?? 0),
    )
    if (index > commit && log.termAt(index) === term) this.#host.commitTo(index)
  }

  #heartbeat(): void {
    this.#round++
    for (const [to, progress] of this.#progress) {
      progress.isWaiting = false
      if (progress.sending !== null) this.#sendChunk(to, progress.sending)
      else this.#sendAppend(to, true)
    }
  }

  /** Sends entries as far as flow control allows; with `always` at least an empty message. */
  #sendAppend(to: ServerId, always: boolean): void {
    const { log, term, commit } = this.#host
    const progress = this.#progress.get(to)!
    if (progress.mode === 'snapshot') return
    if (progress.next <= log.baseIndex) return this.#beginSnapshot(to, progress)
    let isOwed = always
    while (isOwed || (!progress.isPaused && progress.next <= log.lastIndex)) {
      const prevIndex = progress.next - 1
      const entries = progress.isPaused ? [] : log.slice(progress.next, limits.maxAppendBytes)
      const prevTerm = log.termAt(prevIndex)!
      const round = this.#round
      this.#host.send(to, { kind: 'append', term, prevIndex, prevTerm, commit, round, entries })
      if (entries.length > 0) progress.sent(prevIndex + entries.length)
      isOwed = false
    }
  }

  #beginSnapshot(to: ServerId, progress: Progress): void {
    progress.become('snapshot')
    progress.sending = { snapshot: this.#host.log.snapshot, offset: 0 }
    this.#sendChunk(to, progress.sending)
  }

  #sendChunk(to: ServerId, { snapshot, offset }: NonNullable<Progress['sending']>): void {
    const data = snapshot.data.subarray(offset, offset + limits.maxChunkBytes)
    const total = snapshot.data.length
    const { term } = this.#host
    const round = this.#round
    this.#host.send(to, {
      kind: 'snapshot',
      term,
      round,
      snapshot: { ...snapshot, data },
      offset,
      total,
    })
  }

  #answerReads(): void {
    const { id: self } = this.#host
    const { configuration } = this.#host.log.inForce()
    const isSure = ({ round }: { round: number }): boolean =>
      isQuorum(configuration, (id) => id === self || (this.#progress.get(id)?.round ?? 0) >= round)
    while (this.#reads[0] !== undefined && isSure(this.#reads[0])) {
      const { id, index } = this.#reads.shift()!
      this.#host.answerRead(id, index)
    }
  }

  #continueTransfer(to: ServerId): void {
    const { log, term } = this.#host
    if (this.#transferTo !== to || this.#progress.get(to)!.match < log.lastIndex) return
    this.#host.send(to, { kind: 'timeout-now', term })
  }
}
