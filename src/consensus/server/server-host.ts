import { ByteReader, ByteWriter, CodecError } from '../../base/bytes.ts'
import { sleep } from '../../base/clock.ts'
import { refusal } from '../../base/errors.ts'
import { noConfiguration } from '../core/configuration.ts'
import { readMessage, readText, writeMessage, writeText } from '../core/codec.ts'
import type { Message, ServerId, Snapshot } from '../core/types.ts'
import { ConsensusDisk } from './disk.ts'
import { newClusterId, recoveredId } from '../membership/founding.ts'
import type { ConsensusPorts } from '../ports.ts'
import type { ReplicatedState } from './replicated-state.ts'
import { memberOf } from '../requests.ts'
import { RaftServer } from './server.ts'

/** How long a leader that stops waits for another to take over, ms. */
const handOverMs = 1000

/**
 * First byte of a message between members: of Raft, or that the receiver of such a one has no such
 * server.
 */
const raftKind = 0
const goneKind = 1

interface ServerHostParts {
  readonly ports: ConsensusPorts
  readonly state: ReplicatedState
  /** The server, or what it knows, may have changed. */
  readonly onChange: () => void
  /** This member belongs to another cluster now. */
  readonly onMoved: (clusterId: string) => void
  /** A member said that it does not have that server. */
  readonly onGone: (server: ServerId) => void
}

/**
 * The cluster that this member belongs to and the server that it runs for it, if any: made, kept on
 * the disk, dropped.
 */
export class ServerHost {
  readonly #parts: ServerHostParts
  readonly #disk: ConsensusDisk
  #server: RaftServer | null = null
  #clusterId = ''
  /** One change of the server at a time. */
  #changing: Promise<unknown> = Promise.resolve()

  constructor(parts: ServerHostParts) {
    this.#parts = parts
    this.#disk = new ConsensusDisk(parts.ports.store)
  }

  get server(): RaftServer | null {
    return this.#server
  }

  /** Empty while this member belongs to none. */
  get clusterId(): string {
    return this.#clusterId
  }

  /** Goes on with what the disk has. */
  start(): void {
    this.#clusterId = this.#run()
    if (this.#clusterId === '') return
    const part = this.#server === null ? 'as a client' : `with server ${this.#server.raft.id}`
    this.#parts.ports.logger.info(`goes on in cluster ${this.#clusterId} ${part}`)
  }

  /** Founds a cluster with this member as its only voter. */
  found(): Promise<void> {
    const { machine } = this.#parts.state
    this.#parts.state.restore(new Uint8Array())
    const data = this.#parts.state.snapshot()
    const place = { index: 1, term: 1, timeMs: this.#parts.ports.clock.wall() }
    const snapshot = { ...place, version: machine.version, data }
    return this.#begin(newClusterId(this.#hex(4), 0, this.#hex(4)), snapshot)
  }

  /** Makes a new cluster out of what this member's server has, with itself as the only voter. */
  async recover(): Promise<string> {
    const server = this.#server
    if (server === null)
      throw refusal('QUORUM', 'this host has no log of the cluster; recover on one that votes')
    server.stop()
    const clusterId = recoveredId(this.#clusterId, this.#hex(4))
    await this.#begin(clusterId, server.recovered())
    return clusterId
  }

  /** Belongs to that cluster from now on, as a client. */
  moveTo(clusterId: string): Promise<void> {
    return this.#change(async () => {
      this.#server?.stop()
      this.#server = null
      await this.#disk.reset(clusterId, null)
      this.#parts.state.restore(new Uint8Array())
      this.#moved(clusterId)
    })
  }

  /** The server that this member holds for its cluster; an empty one is made when there is none. */
  enroll(): Promise<ServerId> {
    return this.#change(async () => {
      if (this.#server !== null) return this.#server.raft.id
      const id: ServerId = `${this.#parts.ports.self}#${this.#hex(4)}`
      const place = { index: 0, term: 0, timeMs: 0, configuration: noConfiguration, version: 0 }
      const snapshot = { ...place, data: new Uint8Array() }
      const persistent = { term: 0, votedFor: null, snapshot, entries: [] }
      await this.#disk.reset(this.#clusterId, { id, persistent })
      this.#run()
      return id
    })
  }

  /** A leader asks another voter to take over (thesis 3.10), and waits a moment for it. */
  async handOver(): Promise<void> {
    const server = this.#server
    if (server === null || server.raft.leader === null) return
    server.step((raft) => {
      const { leader, configuration } = raft
      const behind = (id: ServerId): number => -(leader?.progressOf(id)?.match ?? 0)
      const best = configuration.voters
        .filter((id) => id !== raft.id && leader?.progressOf(id)?.isActive)
        .toSorted((a, b) => behind(a) - behind(b))[0]
      if (best !== undefined) leader?.transfer(best)
    })
    const { clock } = this.#parts.ports
    const endMs = clock.now() + handOverMs
    do await sleep(clock, 20)
    while (server.raft.leader?.transferTo != null && clock.now() < endMs)
  }

  stop(): void {
    this.#server?.stop()
  }

  /** A message of another member's server, or that it has none. What cannot be read is dropped. */
  receive(from: string, bytes: Uint8Array): void {
    try {
      const reader = new ByteReader(bytes)
      const kind = reader.uint(1)
      if (readText(reader) !== this.#clusterId) {
        if (kind === raftKind) this.#answerGone(from, bytes)
        return
      }
      const [receiver, sender] = [readText(reader), readText(reader)]
      if (memberOf(sender) !== from) return
      if (kind === goneKind) this.#parts.onGone(sender)
      else if (receiver === this.#server?.raft.id) this.#server.receive(sender, readMessage(reader))
      else this.#answerGone(from, bytes)
    } catch (error) {
      if (!(error instanceof CodecError)) throw error
    }
  }

  #begin(clusterId: string, snapshot: Omit<Snapshot, 'configuration'>): Promise<void> {
    return this.#change(async () => {
      const id: ServerId = `${this.#parts.ports.self}#${this.#hex(4)}`
      const configuration = { voters: [id], learners: [] }
      const persistent = { term: snapshot.term, votedFor: null, entries: [] }
      await this.#disk.reset(clusterId, {
        id,
        persistent: { ...persistent, snapshot: { ...snapshot, configuration } },
      })
      this.#run()
      this.#moved(clusterId)
    })
  }

  /** Runs the server that the disk has, if any. Returns the cluster's id. */
  #run(): string {
    const { clusterId, server: stored } = this.#disk.load()
    this.#server = null
    if (stored === null) return clusterId
    const { state, onChange } = this.#parts
    const { clock, random, logger } = this.#parts.ports
    const send = (to: ServerId, message: Message): void => this.#send(stored.id, to, message)
    const common = { clock, random, logger, state, onChange }
    this.#server = new RaftServer({ ...common, disk: this.#disk, stored, send })
    this.#server.start()
    return clusterId
  }

  #moved(clusterId: string): void {
    this.#clusterId = clusterId
    this.#parts.onMoved(clusterId)
  }

  #change<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#changing.then(task)
    this.#changing = result.catch(() => {})
    return result
  }

  #send(from: ServerId, to: ServerId, message: Message): void {
    const writer = this.#header(raftKind, this.#clusterId, to, from)
    writeMessage(writer, message)
    this.#parts.ports.transport.send(memberOf(to), writer.bytes())
  }

  /** Tells the sender of a message that its receiver is no more. */
  #answerGone(from: string, bytes: Uint8Array): void {
    const reader = new ByteReader(bytes)
    reader.uint(1)
    const [clusterId, receiver, sender] = [readText(reader), readText(reader), readText(reader)]
    if (memberOf(receiver) !== this.#parts.ports.self) return
    const writer = this.#header(goneKind, clusterId, sender, receiver)
    this.#parts.ports.transport.send(from, writer.bytes())
  }

  #header(kind: number, clusterId: string, to: ServerId, from: ServerId): ByteWriter {
    const writer = new ByteWriter().uint(kind, 1)
    for (const text of [clusterId, to, from]) writeText(writer, text)
    return writer
  }

  #hex(bytes: number): string {
    return Buffer.from(this.#parts.ports.random.bytes(bytes)).toString('hex')
  }
}
