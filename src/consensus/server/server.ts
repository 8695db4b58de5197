import { type Clock, sleep } from '../../base/clock.ts'
import { isBug, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Random } from '../../base/random.ts'
import { serversOf } from '../core/configuration.ts'
import { Raft } from '../core/raft.ts'
import type { Configuration, Entry, Message, Ready, ServerId, Snapshot } from '../core/types.ts'
import type { ConsensusDisk, StoredServer } from './disk.ts'
import { maxSnapshotBytes } from '../ports.ts'
import { NotServed, Pending } from './pending.ts'
import {
  type Outcome,
  type ReplicatedState,
  type SessionCommand,
  encodeCommand,
} from './replicated-state.ts'
import { Ticks } from './ticks.ts'

/** Steps that wait for the disk; messages beyond are dropped, as a network would. */
const maxSteps = 2048
/** Steps between two turns of the event loop. */
const stepsPerTurn = 64
const diskRetryMs = 1000
/**
 * A server that was started votes for nobody for as long as a leader is sure to be heard: its disk
 * may be an old copy, that has forgotten for whom it voted and what it acknowledged.
 */
const abstainMs = 1000
/** The log is compacted when its entries have this many bytes, and as many as the snapshot. */
const minCompactBytes = 256 * 1024

interface ServerParts {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly disk: ConsensusDisk
  readonly state: ReplicatedState
  readonly stored: StoredServer
  readonly send: (to: ServerId, message: Message) => void
  /** The role, the leader or the configuration may have changed, or entries were applied. */
  readonly onChange: () => void
}

/**
 * Runs the core: one queue of steps; what follows from them is written, then sent, then applied,
 * before the next. A disk that does not take a write keeps the server silent until it does.
 */
export class RaftServer {
  /** Why the disk does not take what this server has to write; null while it does. */
  diskFailure: string | null = null
  readonly #parts: ServerParts
  readonly #raft: Raft
  readonly #ticks: Ticks
  #steps: ((raft: Raft) => void)[] = []
  readonly #pending = new Pending()
  #applied: number
  #version: number
  #isRunning = false
  #isStopped = false
  readonly #startedMs: number
  /** When each server was last heard of, ms. */
  readonly #heard = new Map<ServerId, number>()

  constructor(parts: ServerParts) {
    this.#parts = parts
    const { clock, random, state, stored } = parts
    const { id, persistent } = stored
    this.#raft = new Raft({ id, random, knows: state.machine.version, persistent })
    this.#applied = persistent.snapshot.index
    this.#version = persistent.snapshot.version
    if (this.#canApply(this.#version)) state.restore(persistent.snapshot.data)
    this.#startedMs = clock.now()
    this.#ticks = new Ticks(clock, () => void this.step((core) => core.tick(clock.wall())))
  }

  get raft(): Raft {
    return this.#raft
  }

  get applied(): number {
    return this.#applied
  }

  get role(): 'leader' | 'follower' | 'candidate' | 'learner' {
    const { role, configuration, id } = this.#raft
    if (role === 'leader') return role
    if (!configuration.voters.includes(id)) return 'learner'
    return role === 'follower' ? role : 'candidate'
  }

  /** Whether it leads, and has applied everything that was committed before it did. */
  get isLeader(): boolean {
    return this.#raft.leader?.isEstablished === true
  }

  start(): void {
    if (!this.#isStopped) this.#ticks.start()
  }

  /** Nothing is written or sent any more. */
  stop(): void {
    this.#isStopped = true
    this.#ticks.stop()
    this.#pending.rejectAll()
  }

  /** Queues a step; false when too many wait. */
  step(make: (raft: Raft) => void): boolean {
    if (this.#isStopped || this.#steps.length >= maxSteps) return false
    this.#steps.push(make)
    this.#wake()
    return true
  }

  receive(from: ServerId, message: Message): void {
    const { clock } = this.#parts
    this.#heard.set(from, clock.now())
    if (this.#heard.size > 64) this.#heard.delete([...this.#heard.keys()][0]!)
    const isAbstaining = clock.now() - this.#startedMs < abstainMs
    if (message.kind === 'vote' && !message.isTransfer && isAbstaining) return
    this.step((raft) => raft.receive(from, message, clock.wall()))
  }

  /**
   * Whether that server is in the configuration, or may be: while the latest one is not committed.
   */
  has(id: ServerId): boolean {
    const { configuration, since } = this.#raft.log.inForce()
    return since > this.#raft.commit || serversOf(configuration).includes(id)
  }

  /**
   * The state with every entry of the log applied, committed or not: for `recover`, after `stop`.
   */
  recovered(): Omit<Snapshot, 'configuration'> {
    const { log, term } = this.#raft
    while (this.#applied < log.lastIndex)
      for (const entry of log.slice(this.#applied + 1, Infinity)) this.#apply(entry)
    const { version } = log.inForce()
    const data = this.#parts.state.snapshot()
    return { index: log.lastIndex, term, timeMs: log.lastTimeMs, version, data }
  }

  /** When that server was last heard of, ms of the clock; -Infinity when never. */
  heardMs(id: ServerId): number {
    return this.#heard.get(id) ?? -Infinity
  }

  /** Servers of the configuration from which nothing was heard for `ms`. */
  silent(ms: number): ServerId[] {
    const before = this.#parts.clock.now() - ms
    return serversOf(this.#raft.configuration).filter(
      (id) => id !== this.#raft.id && this.heardMs(id) < before,
    )
  }

  /**
   * Replicates a client's command. Rejects with NotServed when this server does not lead until it
   * is applied.
   */
  submit(command: SessionCommand): Promise<Outcome> {
    const result = this.#parts.state.resultOf(command)
    if (result !== null) return Promise.resolve({ kind: 'applied', result })
    return this.propose(encodeCommand(command))
  }

  /** Replicates the bytes of a log entry. */
  propose(data: Uint8Array): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      if (this.#isStopped || this.#raft.leader === null) return reject(new NotServed('no-leader'))
      this.#pending.addProposal({ data, resolve, reject })
      this.#wake()
    })
  }

  /**
   * Resolves when the applied state is at least as new as now (thesis 6.4). Rejects with NotServed.
   */
  barrier(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#isStopped || !this.isLeader) return reject(new NotServed('no-leader'))
      this.#pending.addBarrier({ resolve, reject })
      this.#wake()
    })
  }

  /** Proposes a configuration. Whether the core took it; it may still be lost. */
  configure(configuration: Configuration): Promise<boolean> {
    return new Promise((resolve) => {
      const timeMs = this.#parts.clock.wall()
      if (!this.step((raft) => resolve(raft.configure(configuration, timeMs)))) resolve(false)
    })
  }

  #wake(): void {
    if (!this.#isRunning) void this.#run()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    // What comes in the same turn goes into the same batch.
    await Promise.resolve()
    while (!this.#isStopped && this.#hasWork) {
      this.#makeSteps()
      await this.#carryOut(this.#raft.ready())
      if (this.#steps.length > 0) await sleep(this.#parts.clock, 0)
    }
    this.#isRunning = false
  }

  get #hasWork(): boolean {
    return this.#steps.length > 0 || this.#pending.hasNew || this.#raft.isReady
  }

  #makeSteps(): void {
    for (const make of this.#steps.splice(0, stepsPerTurn)) make(this.#raft)
    const proposals = this.#pending.takeProposals()
    const data = proposals.map((proposal) => proposal.data)
    const indexes = proposals.length > 0 ? this.#raft.propose(data, this.#parts.clock.wall()) : []
    proposals.forEach((proposal, i) => {
      const index = indexes[i]
      if (index == null) proposal.reject(new NotServed(this.#raft.leader ? 'busy' : 'no-leader'))
      else this.#pending.proposed(proposal, index, this.#raft.term)
    })
    const read = this.#pending.takeRead()
    if (read !== null && this.#raft.leader?.read(read) !== true) this.#pending.rejectRead(read)
  }

  async #carryOut(ready: Ready): Promise<void> {
    const { disk, send, state, onChange } = this.#parts
    await this.#write(disk.changesOf(ready))
    if (this.#isStopped) return
    for (const { to, message } of ready.messages) send(to, message)
    if (ready.snapshot !== null) {
      const { data, index, version } = ready.snapshot
      if (!this.#canApply(version)) return
      state.restore(data)
      this.#applied = index
      this.#version = version
    }
    for (const entry of ready.committed) {
      if (entry.kind === 'version' && !this.#canApply(entry.version)) return
      this.#apply(entry)
    }
    this.#pending.answerReads(ready.reads, this.#applied)
    if (this.#raft.leader === null) this.#pending.rejectAll()
    onChange()
    await this.#compact()
  }

  /** Writes until it is durable. */
  async #write(changes: Parameters<ConsensusDisk['write']>[0]): Promise<void> {
    const { disk, logger, clock } = this.#parts
    for (let failures = 0; changes.length > 0 && !this.#isStopped; failures++) {
      try {
        await disk.write(changes)
        this.diskFailure = null
        return
      } catch (error) {
        if (isBug(error)) throw error
        this.diskFailure = messageOf(error)
        if (failures === 0) logger.warn(`takes no part until the disk does: ${messageOf(error)}`)
        await sleep(clock, diskRetryMs)
      }
    }
  }

  /** A server that does not know what the others agreed on takes no part until it is upgraded. */
  #canApply(version: number): boolean {
    const { state, logger } = this.#parts
    if (version <= state.machine.version) return true
    logger.warn(
      `the cluster agreed on version ${version} of its commands, this plugin knows ${state.machine.version}: upgrade it`,
    )
    this.stop()
    return false
  }

  #apply(entry: Entry): void {
    const { index, timeMs } = entry
    this.#applied = index
    if (entry.kind === 'version') this.#version = entry.version
    if (entry.kind !== 'command') return
    const outcome = this.#parts.state.apply(entry.data, { index, timeMs, version: this.#version })
    this.#pending.applied(index, entry.term, outcome)
  }

  async #compact(): Promise<void> {
    const { log } = this.#raft
    const size = Math.max(minCompactBytes, log.snapshot.data.length)
    if (log.bytesSinceSnapshot < size || this.#applied <= log.snapshot.index) return
    const data = this.#parts.state.snapshot()
    if (data.length > maxSnapshotBytes) {
      this.#parts.logger.warn(`the state has ${data.length} bytes, more than ${maxSnapshotBytes}`)
      return
    }
    const snapshot = log.compact(this.#applied, data)
    await this.#write(this.#parts.disk.compactionOf(snapshot))
  }
}
