import { type Random, below, pick, seededRandom } from '../../../src/base/random.ts'
import { serversOf } from '../../../src/consensus/core/configuration.ts'
import { RaftLog } from '../../../src/consensus/core/log.ts'
import type { Configuration, Entry, ServerId } from '../../../src/consensus/core/types.ts'
import { Invariants } from './invariants.ts'
import type { Observed } from './linearizability.ts'
import { RaftNetwork } from './network.ts'
import { type RegisterOperation, encodeOperation } from './register-map.ts'
import { Server, emptyDisk } from './server.ts'

interface Pending {
  readonly operation: RegisterOperation
  readonly calledAt: number
  readonly startedMs: number
  readonly server: Server
  readonly life: number
  readonly place: { index: number; term: number } | { read: number }
}

const stepMs = 5
const clientTimeoutMs = 1500
const clients = 6
const keys = ['a', 'b', 'c']

/** Servers, a network and clients in virtual time, watched by an observer. Depends on the seed alone. */
export class World {
  readonly random: Random
  readonly network: RaftNetwork
  readonly invariants = new Invariants()
  readonly servers = new Map<ServerId, Server>()
  /** Servers whose disk is lost: nobody answers to that id again. */
  readonly lost = new Set<ServerId>()
  readonly history: Observed[] = []
  nowMs = 0
  isLoaded = true
  #pending: (Pending | null)[] = Array.from({ length: clients }, () => null)
  #moment = 0
  #serial = 0
  #names = 0

  constructor(seed: number) {
    this.random = seededRandom(seed)
    this.network = new RaftNetwork(this.random)
    const voters = Array.from({ length: 1 + 2 * below(this.random, 3) }, () => this.newName())
    const snapshot = {
      ...emptyDisk.snapshot,
      index: 1,
      term: 1,
      version: 1,
      configuration: { voters, learners: [] },
    }
    for (const id of voters) this.add(id, { ...emptyDisk, term: 1, snapshot })
    for (let spare = 0; spare < 2; spare++) this.add(this.newName(), emptyDisk)
  }

  newName(): ServerId {
    return `s${this.#names++}`
  }

  add(id: ServerId, disk = emptyDisk): Server {
    const events = {
      send: (from: ServerId, to: ServerId, message: Parameters<RaftNetwork['send']>[3]): void =>
        this.network.send(this.nowMs, from, to, message),
      onApplied: (server: Server, entry: Entry, result: number | null): void =>
        this.#onApplied(server, entry, result),
      onRead: (server: Server, read: number): void => this.#onRead(server, read),
      onLost: (server: Server): void => this.#onCrash(server),
    }
    const { invariants, random } = this
    const tickMs = 80 + below(random, 50)
    const server = new Server(id, disk, tickMs, 1, { events, invariants, random })
    this.servers.set(id, server)
    server.start()
    return server
  }

  get leader(): Server | null {
    const leaders = [...this.servers.values()].filter(({ raft }) => raft?.leader != null)
    return leaders.toSorted((a, b) => b.raft!.term - a.raft!.term)[0] ?? null
  }

  /** The latest configuration in each server's log. */
  configurations(): Configuration[] {
    return [...this.servers.values()].map(({ raft, disk }) =>
      raft === null
        ? new RaftLog(disk.snapshot, disk.entries).inForce().configuration
        : raft.configuration,
    )
  }

  /** Whether that disk may be lost too: fewer than a majority of each configuration anywhere are. */
  mayLose(id: ServerId): boolean {
    return this.configurations().every(({ voters }) => {
      const lost = voters.filter((voter) => voter === id || this.lost.has(voter)).length
      return !voters.includes(id) || lost <= Math.floor((voters.length - 1) / 2)
    })
  }

  lose(id: ServerId): void {
    const server = this.servers.get(id)!
    if (server.raft !== null) server.crash()
    this.servers.delete(id)
    this.lost.add(id)
    this.add(this.newName())
  }

  run(ms: number, each: () => void): void {
    const end = this.nowMs + ms
    while (this.nowMs < end) {
      this.nowMs += stepMs
      for (const { from, to, message } of this.network.arriving(this.nowMs))
        this.servers.get(to)?.step((raft) => raft.receive(from, message, this.nowMs))
      for (const server of this.servers.values()) {
        if (server.raft === null || server.nextTickAt > this.nowMs) continue
        server.nextTickAt = this.nowMs + server.tickMs
        server.step((raft) => raft.tick(this.nowMs))
      }
      if (this.isLoaded) this.#work()
      each()
    }
  }

  /** Everybody is up and hears everybody. */
  heal(): void {
    this.network.heal()
    for (const server of this.servers.values()) {
      server.crashAt = null
      if (server.raft === null) server.start()
    }
  }

  /** Proposes a command and runs until every server of the configuration has applied it. */
  settles(withinMs: number): boolean {
    let index: number | null = null
    let term = 0
    const end = this.nowMs + withinMs
    while (this.nowMs < end) {
      this.run(100, () => {})
      const { leader } = this
      if (leader?.raft == null) continue
      const { configuration } = leader.raft
      const servers = serversOf(configuration).filter((id) => !this.lost.has(id))
      const isThere = (id: ServerId): boolean =>
        index !== null && (this.servers.get(id)?.appliedIndex ?? 0) >= index
      if (index !== null && leader.raft.term === term && servers.every(isThere)) return true
      if (index !== null && leader.raft.term === term) continue
      const data = encodeOperation({ kind: 'write', key: 'end', value: 1 })
      term = leader.raft.term
      index = leader.step((raft) => raft.propose([data], this.nowMs)[0]!)
    }
    return false
  }

  /** All operations so far; those that nobody answered may have happened at any time. */
  observed(): Observed[] {
    this.#pending.forEach((_, client) => this.#giveUp(client))
    return this.history
  }

  #work(): void {
    this.#pending.forEach((pending, client) => {
      if (pending !== null && this.nowMs - pending.startedMs > clientTimeoutMs) this.#giveUp(client)
      if (pending === null && below(this.random, 20) === 0) this.#call(client)
    })
  }

  #call(client: number): void {
    const leaders = [...this.servers.values()].filter(({ raft }) => raft?.leader != null)
    const server = pick(this.random, leaders)
    if (server === undefined) return
    const operation = this.#operation()
    const calledAt = ++this.#moment
    const serial = ++this.#serial
    const { life } = server
    const common = { operation, calledAt, server, life, startedMs: this.nowMs }
    if (operation.kind === 'read') {
      this.#pending[client] = { ...common, place: { read: serial } }
      if (server.step((raft) => raft.leader!.read(serial)) === false) this.#pending[client] = null
      return
    }
    // It may be applied before `step` returns: the place is known as soon as it is proposed.
    const { raft } = server
    const place = { index: raft!.log.lastIndex + 1, term: raft!.term }
    this.#pending[client] = { ...common, place }
    const indexes = server.step((core) => core.propose([encodeOperation(operation)], this.nowMs))
    if (indexes?.[0] === null && this.#pending[client]?.calledAt === calledAt)
      this.#pending[client] = null
  }

  #operation(): RegisterOperation {
    const key = pick(this.random, keys)!
    const value = ++this.#serial
    const kind = pick(this.random, ['read', 'write', 'swap'] as const)!
    if (kind === 'read') return { kind, key }
    if (kind === 'write') return { kind, key, value }
    return { kind, key, value, expected: this.leader?.machine.get(key) ?? 0 }
  }

  #onApplied(server: Server, { index, term }: Entry, result: number | null): void {
    this.#pending.forEach((pending, client) => {
      if (pending?.server !== server || pending.life !== server.life) return
      if (!('index' in pending.place) || pending.place.index !== index) return
      if (pending.place.term === term) this.#finish(client, result)
      else this.#giveUp(client)
    })
  }

  #onRead(server: Server, read: number): void {
    this.#pending.forEach((pending, client) => {
      if (pending?.server !== server || pending.life !== server.life) return
      if (!('read' in pending.place) || pending.place.read !== read) return
      this.#finish(client, server.machine.get(pending.operation.key))
    })
  }

  #onCrash(server: Server): void {
    this.#pending.forEach((pending, client) => {
      if (pending?.server === server) this.#giveUp(client)
    })
  }

  #finish(client: number, result: number | null): void {
    const { operation, calledAt } = this.#pending[client]!
    this.history.push({ operation, calledAt, returnedAt: ++this.#moment, result })
    this.#pending[client] = null
  }

  #giveUp(client: number): void {
    const pending = this.#pending[client]
    if (pending == null) return
    this.#pending[client] = null
    // A read without an answer says nothing.
    if (pending.operation.kind === 'read') return
    const { operation, calledAt } = pending
    this.history.push({ operation, calledAt, returnedAt: Infinity, result: null })
  }
}
