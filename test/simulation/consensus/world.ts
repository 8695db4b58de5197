import { type Random, below, pick, seededRandom } from '../../../src/base/random.ts'
import type { MemberState } from '../../../src/consensus/ports.ts'
import { isBug } from '../../../src/base/errors.ts'
import type { Observed } from '../raft/linearizability.ts'
import { type RegisterOperation, encodeOperation } from '../raft/register-map.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { Host, type Wire } from './host.ts'

/** Failure detection notices within this time, ms. */
const detectMs = 3000
const keys = ['a', 'b', 'c']

/** Hosts that run the whole room over a network and failure detection that a test rules. */
export class ConsensusWorld implements Wire {
  readonly clock = new VirtualClock()
  readonly random: Random
  readonly hosts = new Map<string, Host>()
  readonly history: Observed[] = []
  /** Lost packets in 1/1000. */
  lost = 0
  maxDelayMs = 2
  /** Messages and bytes sent so far. */
  messages = 0
  bytes = 0
  /** Told whose turn it is to compute, for what costs are measured by. */
  turnOf: (member: string) => void = () => {}
  readonly #cuts = new Set<string>()
  /** By "observer subject": the state that it sees and since when. */
  readonly #seen = new Map<string, MemberState>()
  readonly #left = new Set<string>()
  #moment = 0
  #serial = 0
  #isWatching = false
  /** With many hosts: one failure detection for all, which knows no cuts. */
  readonly #isShared: boolean
  #shared: readonly MemberState[] = []

  constructor(seed: number, { isShared = false } = {}) {
    this.random = seededRandom(seed)
    this.#isShared = isShared
  }

  /** Adds hosts of these names; they do not run yet. */
  add(...names: string[]): Host[] {
    return names.map((name) => {
      const host = new Host(name, this.clock, this.random, this)
      this.hosts.set(name, host)
      return host
    })
  }

  host(name: string): Host {
    return this.hosts.get(name)!
  }

  get running(): Host[] {
    return [...this.hosts.values()].filter(({ isUp }) => isUp)
  }

  get leader(): Host | undefined {
    return this.running.find(({ consensus }) => consensus!.isLeader())
  }

  cut(from: string, to: string): void {
    this.#cuts.add(`${from} ${to}`)
  }

  /** No packet between members of two groups. */
  partition(a: readonly string[], b: readonly string[]): void {
    for (const one of a)
      for (const other of b) {
        this.cut(one, other)
        this.cut(other, one)
      }
  }

  heal(): void {
    this.#cuts.clear()
  }

  leaves(name: string): void {
    this.#left.add(name)
  }

  deliver(from: string, to: string, arrive: (host: Host) => void, bytes: number): void {
    this.messages++
    this.bytes += bytes
    if (this.#cuts.has(`${from} ${to}`) || below(this.random, 1000) < this.lost) return
    const delay = 1 + below(this.random, this.maxDelayMs)
    this.clock.setTimeout(() => {
      const host = this.hosts.get(to)
      if (host?.isUp !== true) return
      this.turnOf(to)
      arrive(host)
    }, delay)
  }

  members(of: string): readonly MemberState[] {
    this.#watch()
    if (this.#isShared) return this.#shared
    return [...this.hosts.values()].map(({ name }) => this.#stateOf(of, name))
  }

  #stateOf(of: string, name: string): MemberState {
    const known = this.#seen.get(`${of} ${name}`)
    return known ?? { name, state: 'dead', sinceMs: 0 }
  }

  /** Failure detection: looks four times in `detectMs`. */
  #watch(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    const look = (): void => {
      if (this.#isShared) this.#lookShared()
      else this.#lookEach()
      this.clock.setTimeout(look, detectMs / 4)
    }
    look()
  }

  #lookShared(): void {
    const before = new Map(this.#shared.map((state) => [state.name, state]))
    this.#shared = [...this.hosts.values()].map(({ name, isUp }) => {
      const state = isUp ? 'alive' : 'dead'
      const known = before.get(name)
      return known?.state === state ? known : { name, state, sinceMs: this.clock.now() }
    })
  }

  #lookEach(): void {
    for (const of of this.hosts.values())
      for (const { name, isUp } of this.hosts.values()) {
        const reaches =
          !this.#cuts.has(`${of.name} ${name}`) || !this.#cuts.has(`${name} ${of.name}`)
        const isSeen = isUp && (of.name === name || reaches)
        const state = isSeen ? 'alive' : this.#left.has(name) ? 'left' : 'dead'
        const before = this.#stateOf(of.name, name)
        if (before.state !== state)
          this.#seen.set(`${of.name} ${name}`, { name, state, sinceMs: this.clock.now() })
        if (isUp) this.#left.delete(name)
      }
  }

  /** Moves on until that holds; throws when it does not within `ms`. */
  async until(what: string, holds: () => boolean, ms = 60_000): Promise<void> {
    if (!(await this.clock.advanceUntil(holds, ms))) {
      const states = this.running.map(({ name, consensus }) => ({ name, ...consensus!.status() }))
      throw new Error(
        `not within ${ms} ms: ${what}\n${states.map((s) => JSON.stringify(s)).join('\n')}`,
      )
    }
  }

  /** The voters as the leader has them, by name; empty without a leader. */
  voters(): string[] {
    return [...(this.leader?.consensus?.status().voters ?? [])].toSorted()
  }

  /** A client on that host does one operation after another until `endMs`. */
  async work(host: Host, endMs: number): Promise<void> {
    while (this.clock.now() < endMs) {
      const { consensus } = host
      await new Promise<void>((resolve) =>
        this.clock.setTimeout(resolve, 20 + below(this.random, 200)),
      )
      if (consensus !== null && consensus === host.consensus) await this.operate(host)
    }
  }

  /** One operation by a client on that host, written into the history. */
  async operate(host: Host, timeoutMs = 4000): Promise<number | null> {
    const operation = this.#operation()
    const calledAt = ++this.#moment
    const { consensus } = host
    const isRead = operation.kind === 'read'
    try {
      const call = isRead
        ? consensus!.query(new TextEncoder().encode(operation.key), { timeoutMs })
        : consensus!.submit(encodeOperation(operation), { timeoutMs })
      // The process that asks may die, and its promise with it.
      const dead = new Promise<never>((_, reject) =>
        this.clock.setTimeout(() => reject(new Died()), timeoutMs + 500),
      )
      const bytes = await Promise.race([call, dead])
      const result = JSON.parse(new TextDecoder().decode(bytes)) as number
      this.history.push({ operation, calledAt, returnedAt: ++this.#moment, result })
      return result
    } catch (error) {
      if (process.env['VERBOSE']) process.stdout.write(`${host.name}: ${String(error)}\n`)
      if (isBug(error) && !(error instanceof Died)) throw error
      if (error instanceof Died && host.consensus === consensus)
        throw new Error(`${host.name} did not answer within the time-out`, { cause: error })
      if (!isRead) this.history.push({ operation, calledAt, returnedAt: Infinity, result: null })
      return null
    }
  }

  #operation(): RegisterOperation {
    const key = pick(this.random, keys)!
    const value = ++this.#serial
    const kind = pick(this.random, ['read', 'write', 'swap'] as const)!
    if (kind === 'read') return { kind, key }
    if (kind === 'write') return { kind, key, value }
    return { kind, key, value, expected: this.leader?.machine.map.get(key) ?? 0 }
  }
}

class Died extends Error {}
