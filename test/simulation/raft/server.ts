import type { Random } from '../../../src/base/random.ts'
import { noConfiguration } from '../../../src/consensus/core/configuration.ts'
import { Raft } from '../../../src/consensus/core/raft.ts'
import type { Entry, Message, Persistent, ServerId } from '../../../src/consensus/core/types.ts'
import type { Invariants } from './invariants.ts'
import { RegisterMap, decodeOperation } from './register-map.ts'

export const emptyDisk: Persistent = {
  term: 0,
  votedFor: null,
  snapshot: {
    index: 0,
    term: 0,
    timeMs: 0,
    configuration: noConfiguration,
    version: 0,
    data: new Uint8Array(),
  },
  entries: [],
}

/** Where a crash strikes while what follows from some steps is carried out. */
export type CrashPoint = 'before-write' | 'after-write' | 'half-sent' | 'before-apply'

export interface ServerEvents {
  readonly send: (from: ServerId, to: ServerId, message: Message) => void
  readonly onApplied: (server: Server, entry: Entry, result: number | null) => void
  readonly onRead: (server: Server, id: number) => void
  readonly onLost: (server: Server) => void
}

/** A server as the driver runs it: its disk, and, while it runs, its core and state machine. */
export class Server {
  readonly id: ServerId
  disk: Persistent
  raft: Raft | null = null
  machine = new RegisterMap()
  appliedIndex = 0
  /** Counts the lives: a read or proposal of an earlier one is gone. */
  life = 0
  crashAt: CrashPoint | null = null
  /** Milliseconds between two ticks: no two clocks run alike. */
  readonly tickMs: number
  nextTickAt = 0
  /** The newest command version it knows. */
  knows: number
  readonly #reads: { id: number; index: number }[] = []
  readonly #events: ServerEvents
  readonly #invariants: Invariants
  readonly #random: Random
  #ledTerm = 0
  #committed = 0

  constructor(
    id: ServerId,
    disk: Persistent,
    tickMs: number,
    knows: number,
    parts: { events: ServerEvents; invariants: Invariants; random: Random },
  ) {
    this.id = id
    this.disk = disk
    this.tickMs = tickMs
    this.knows = knows
    this.#events = parts.events
    this.#invariants = parts.invariants
    this.#random = parts.random
  }

  start(): void {
    const { id, knows, disk } = this
    this.life++
    this.raft = new Raft({ id, random: this.#random, knows, persistent: disk })
    this.machine = new RegisterMap()
    this.machine.restore(new TextDecoder().decode(disk.snapshot.data))
    this.appliedIndex = this.#committed = disk.snapshot.index
  }

  crash(): void {
    this.raft = null
    this.crashAt = null
    this.#reads.length = 0
    this.#events.onLost(this)
  }

  /** Makes a step, and carries out what follows from it. */
  step<T>(make: (raft: Raft) => T): T | null {
    const { raft } = this
    if (raft === null) return null
    const result = make(raft)
    if (raft.leader !== null && this.#ledTerm !== raft.term) {
      this.#ledTerm = raft.term
      this.#invariants.led(raft)
    }
    while (this.raft !== null && raft.isReady) this.#carryOut(raft)
    return result
  }

  #carryOut(raft: Raft): void {
    const ready = raft.ready()
    const crash = this.crashAt
    if (crash === 'before-write') return this.crash()
    this.#write(ready)
    this.#invariants.wrote(raft, ready.entries)
    // Only what is written counts: nobody can have heard of it before.
    this.#invariants.committed(raft, this.#committed)
    this.#committed = raft.commit
    if (crash === 'after-write') return this.crash()
    const half = Math.ceil(ready.messages.length / 2)
    for (const { to, message } of crash === 'half-sent'
      ? ready.messages.slice(0, half)
      : ready.messages)
      this.#events.send(this.id, to, message)
    if (crash !== null) return this.crash()
    if (ready.snapshot !== null) {
      this.machine.restore(new TextDecoder().decode(ready.snapshot.data))
      this.appliedIndex = ready.snapshot.index
      this.#check()
    }
    for (const entry of ready.committed) this.#apply(entry)
    this.#reads.push(...ready.reads)
    while (this.#reads[0] !== undefined && this.#reads[0].index <= this.appliedIndex)
      this.#events.onRead(this, this.#reads.shift()!.id)
  }

  #apply(entry: Entry): void {
    if (entry.index !== this.appliedIndex + 1)
      throw new Error(`${this.id} applies ${entry.index} after ${this.appliedIndex}`)
    const result = entry.kind === 'command' ? this.machine.apply(decodeOperation(entry.data)) : null
    this.appliedIndex = entry.index
    this.#check()
    this.#events.onApplied(this, entry, result)
  }

  #check(): void {
    this.#invariants.applied(this.id, this.appliedIndex, this.machine.snapshot())
  }

  #write(ready: ReturnType<Raft['ready']>): void {
    let { term, votedFor, snapshot, entries } = this.disk
    if (ready.hardState !== null) ({ term, votedFor } = ready.hardState)
    if (ready.snapshot !== null) {
      snapshot = ready.snapshot
      entries = []
    }
    const first = ready.entries[0]
    if (first !== undefined)
      entries = [...entries.filter(({ index }) => index < first.index), ...ready.entries]
    this.disk = { term, votedFor, snapshot, entries }
  }

  /** Takes a snapshot of what is applied: another write that a crash may come before. */
  compact(): void {
    const { raft } = this
    if (raft === null || this.appliedIndex <= raft.log.snapshot.index) return
    const data = new TextEncoder().encode(this.machine.snapshot())
    const snapshot = raft.log.compact(this.appliedIndex, data)
    if (this.crashAt === 'before-write') return this.crash()
    const entries = this.disk.entries.filter(({ index }) => index > snapshot.index)
    this.disk = { ...this.disk, snapshot, entries }
  }
}
