import type { Clock, Timer } from '../../../src/base/clock.ts'
import { failure } from '../../../src/base/errors.ts'
import { type Logger, silentLogger } from '../../../src/base/logger.ts'
import { type Random, below } from '../../../src/base/random.ts'
import { Consensus } from '../../../src/consensus/consensus.ts'
import type {
  ConsensusStore,
  ConsensusTransport,
  MemberState,
  StateMachine,
} from '../../../src/consensus/ports.ts'
import { RegisterMap, decodeOperation } from '../raft/register-map.ts'

/** The registers of the simulations behind the port of the state machine. */
export function registerMachine(): StateMachine & { readonly map: RegisterMap } {
  const map = new RegisterMap()
  const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
  return {
    map,
    version: 1,
    apply: (command) => encode(map.apply(decodeOperation(command))),
    query: (question) => encode(map.get(new TextDecoder().decode(question))),
    snapshot: () => new TextEncoder().encode(map.snapshot()),
    restore: (bytes) => map.restore(new TextDecoder().decode(bytes)),
  }
}

/** A disk whose writes take a moment; what a crash finds unfinished may or may not be there after. */
export class SimulatedDisk implements ConsensusStore {
  rows = new Map<string, string>()
  writes = 0
  /** Takes no writes. */
  isFull = false
  #waiting: { texts: (readonly [string, string])[]; resolve: () => void }[] = []
  readonly #clock: Clock
  readonly #random: Random

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  entries(): (readonly [string, unknown])[] {
    return [...this.rows].map(([key, json]) => [key, JSON.parse(json) as unknown])
  }

  write(changes: readonly { readonly key: string; readonly value: unknown }[]): Promise<void> {
    if (this.isFull) return Promise.reject(failure('STORE', 'the disk is full'))
    const texts = changes.map(({ key, value }) => [key, JSON.stringify(value)] as const)
    return new Promise((resolve) => {
      const waiting = { texts, resolve }
      this.#waiting.push(waiting)
      this.#clock.setTimeout(
        () => {
          if (!this.#waiting.includes(waiting)) return
          while (this.#waiting[0] !== undefined) {
            const first = this.#waiting.shift()!
            this.#put(first.texts)
            first.resolve()
            if (first === waiting) return
          }
        },
        1 + below(this.#random, 4),
      )
    })
  }

  /** The process dies: some of the writes under way are there, and nobody hears of them. */
  crash(): void {
    const survivors = below(this.#random, this.#waiting.length + 1)
    for (const { texts } of this.#waiting.slice(0, survivors)) this.#put(texts)
    this.#waiting = []
  }

  #put(texts: readonly (readonly [string, string])[]): void {
    this.writes++
    for (const [key, json] of texts)
      if (json === 'null') this.rows.delete(key)
      else this.rows.set(key, json)
  }
}

/** A clock that stops for a process that died. */
class LifeClock implements Clock {
  isDead = false
  readonly #clock: Clock
  readonly #offsetMs: () => number
  readonly #onTurn: () => void

  constructor(clock: Clock, offsetMs: () => number, onTurn: () => void) {
    this.#clock = clock
    this.#offsetMs = offsetMs
    this.#onTurn = onTurn
  }

  now(): number {
    return this.#clock.now()
  }

  wall(): number {
    return this.#clock.wall() + this.#offsetMs()
  }

  setTimeout(fn: () => void, ms: number): Timer {
    return this.#clock.setTimeout(() => {
      if (this.isDead) return
      this.#onTurn()
      fn()
    }, ms)
  }

  clearTimeout(timer: Timer): void {
    this.#clock.clearTimeout(timer)
  }
}

/** What the host's process reaches others by. */
export interface Wire {
  /** Hands bytes to that member's process; calls `arrive` there if they come through. */
  deliver(from: string, to: string, arrive: (host: Host) => void, bytes: number): void
  members(of: string): readonly MemberState[]
  /** From now on that member's process computes. */
  turnOf(member: string): void
}

/** A host of the simulation: its disk outlives its process. */
export class Host {
  readonly name: string
  readonly disk: SimulatedDisk
  readonly #clock: Clock
  readonly #random: Random
  readonly #wire: Wire
  consensus: Consensus | null = null
  machine = registerMachine()
  /** What this host's servers run instead of the registers. */
  newState: (() => StateMachine) | null = null
  /** How far this host's clock is off, ms. */
  offsetMs = 0
  founds = true
  voters = 5
  logger: Logger = silentLogger
  /** Clusters that it came to belong to, in this life. */
  readonly clusters: string[] = []
  #life: LifeClock | null = null
  #handlers: Parameters<ConsensusTransport['listen']>[0] | null = null

  constructor(name: string, clock: Clock, random: Random, wire: Wire) {
    this.name = name
    this.#clock = clock
    this.#random = random
    this.#wire = wire
    this.disk = new SimulatedDisk(clock, random)
  }

  get isUp(): boolean {
    return this.#life !== null
  }

  start(): Consensus {
    const clock = (this.#life = new LifeClock(
      this.#clock,
      () => this.offsetMs,
      () => this.#wire.turnOf(this.name),
    ))
    this.machine = registerMachine()
    const ports = {
      self: this.name,
      clock,
      random: this.#random,
      logger: this.logger,
      transport: this.#transport(clock),
      store: this.disk,
      members: () => this.#wire.members(this.name),
    }
    const settings = { voters: this.voters, founds: () => this.founds }
    const state = this.newState?.() ?? this.machine
    const consensus = (this.consensus = new Consensus(ports, state, settings))
    consensus.onClusterChange((id) => this.clusters.push(id))
    consensus.start()
    return consensus
  }

  /** The process dies without a word. */
  crash(): void {
    if (this.#life !== null) this.#life.isDead = true
    this.#life = null
    this.#handlers = null
    this.consensus = null
    this.disk.crash()
  }

  async stop(leaves: boolean): Promise<void> {
    await this.consensus?.stop({ leaves })
    this.crash()
  }

  loseDisk(): void {
    this.crash()
    this.disk.rows.clear()
  }

  #transport(life: LifeClock): ConsensusTransport {
    const { name } = this
    const send = (to: string, bytes: number, arrive: (host: Host) => void): void => {
      if (!life.isDead) this.#wire.deliver(name, to, arrive, bytes)
    }
    return {
      send: (to, message) =>
        send(to, message.length, (host) => host.#handlers?.onMessage(name, message)),
      request: (to, message, timeoutMs) =>
        new Promise((resolve, reject) => {
          const late = (): void => reject(failure('DEADLINE', `${to} did not answer`))
          life.setTimeout(late, timeoutMs)
          send(to, message.length, (host) => {
            const answering = host.#handlers?.onRequest(name, message)
            answering?.then(
              (answer) =>
                host.#wire.deliver(to, name, () => !life.isDead && resolve(answer), answer.length),
              () => {},
            )
          })
        }),
      listen: (handlers) => (this.#handlers = handlers),
    }
  }
}
