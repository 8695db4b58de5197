import {
  isPresent,
  lan,
  MemoryNetwork,
  seededRandom,
  VirtualClock,
  type Config,
  type LinkConditions,
  type Member,
} from 'memberlist-js'
import { Engine } from '../../src/core/engine.ts'
import { endpointOf } from './cluster.ts'
import { StoppableClock } from './stoppable-clock.ts'

/** The tuning of the overlay plugin that this package was made for. */
export const tuned: Config = { ...lan, probeIntervalMs: 500, probeTimeoutMs: 200, suspicionMult: 3 }

/** A change that one member saw. */
export interface Sighting {
  readonly at: number
  readonly observer: number
  readonly event: 'join' | 'suspect' | 'refuted' | 'left' | 'failed'
  readonly subject: string
}

/**
 * Many members in virtual time, all of the protocol and none of the public shell, so that a
 * thousand fit. They know each other from the start, as after a long quiet time.
 */
export class Simulation {
  readonly clock = new VirtualClock()
  readonly network: MemoryNetwork
  readonly engines: Engine[] = []
  readonly #clocks: StoppableClock[] = []
  /** What members saw, in order, since {@link watch}. */
  readonly sightings: Sighting[] = []
  /** Who got the broadcast under way, and when. */
  readonly reached = new Map<number, number>()
  readonly #config: Config
  readonly #random
  #watching = false

  constructor(
    seed: number,
    size: number,
    config: Config,
    conditions: Partial<LinkConditions> = {},
  ) {
    this.#config = config
    this.#random = seededRandom(seed)
    this.network = new MemoryNetwork({
      clock: this.clock,
      random: this.#random,
      conditions,
      onStreamProgress: () => this.clock.settle(),
    })
    for (let i = 0; i < size; i++) this.engines.push(this.#make(i))
    for (const engine of this.engines) engine.start()
    for (const engine of this.engines) this.#acquaint(engine)
  }

  /** Seconds of quiet, so that timers fall out of step. */
  async settle(ms = 5000): Promise<void> {
    await this.clock.advance(ms)
  }

  /** Starts to record sightings. */
  watch(): void {
    this.sightings.length = 0
    this.#watching = true
  }

  /** The members that `observer` holds for present. */
  view(observer: number): ReadonlySet<string> {
    const members = this.engines[observer]!.roster.members.values()
    return new Set([...members].filter(isPresent).map(({ name }) => name))
  }

  /** Whether all know the same of everybody: name, state and incarnation. */
  agreed(): boolean {
    const views = this.engines.map(({ roster }) => roster.members)
    return views.every((view) => {
      if (view.size !== views[0]!.size) return false
      return [...view.values()].every(({ name, state, incarnation }) => {
        const other = views[0]!.get(name)
        return other?.state === state && other.incarnation === incarnation
      })
    })
  }

  /** A member vanishes without a word. */
  async kill(index: number): Promise<void> {
    await this.engines[index]!.close()
  }

  /** A member dies, and starts anew under its name, knowing only `seed`. */
  async restart(index: number, seed: number): Promise<void> {
    await this.engines[index]!.close()
    const engine = this.#make(index)
    this.engines[index] = engine
    engine.start()
    void engine.joiner.join([endpointOf(seed).address])
  }

  /** A member says goodbye and closes. */
  leave(index: number): void {
    const engine = this.engines[index]!
    void engine.leave(5000).then(async () => await engine.close())
  }

  /** A member's process stands still, as by SIGSTOP. */
  stop(index: number): void {
    this.network.freeze(endpointOf(index))
    this.#clocks[index]!.stop()
  }

  resume(index: number): void {
    this.#clocks[index]!.resume()
    this.network.thaw(endpointOf(index))
  }

  /**
   * Gossips one message from `origin`, everybody passing it on, and returns when all have it (ms),
   * or NaN.
   */
  async broadcast(origin: number, withinMs = 30_000): Promise<number> {
    const started = this.clock.now()
    this.reached.clear()
    this.#receive(origin, Uint8Array.of(started & 255))
    const all = () => this.reached.size === this.engines.length
    return (await this.clock.advanceUntil(all, withinMs)) ? this.clock.now() - started : NaN
  }

  async close(): Promise<void> {
    for (const engine of this.engines) await engine.close()
  }

  #make(index: number): Engine {
    const clock = new StoppableClock(this.clock)
    this.#clocks[index] = clock
    return new Engine({
      name: `m${index}`,
      transport: this.network.transport(endpointOf(index)),
      config: this.#config,
      keyring: undefined,
      label: new Uint8Array(),
      delegateVersions: [2, 5, 4],
      delegate: { onMessage: (payload) => this.#receive(index, payload) },
      clock,
      random: this.#random,
      emit: (event, ...details) => {
        const [subject, how] = details as readonly unknown[]
        if (event === 'leave') this.#saw(index, how as 'left' | 'failed', subject as Member)
        if (event === 'join' || event === 'suspect' || event === 'refuted') {
          this.#saw(index, event, subject as Member)
        }
      },
    })
  }

  #acquaint(engine: Engine): void {
    for (const other of this.engines) {
      if (other !== engine) engine.roster.set(other.membership.self)
    }
    engine.outbox.clear()
  }

  #receive(index: number, payload: Uint8Array): void {
    if (this.reached.has(index)) return
    this.reached.set(index, this.clock.now())
    void this.engines[index]!.broadcast(payload, undefined)
  }

  #saw(observer: number, event: Sighting['event'], { name }: Member): void {
    if (this.#watching)
      this.sightings.push({ at: this.clock.now(), observer, event, subject: name })
  }
}
