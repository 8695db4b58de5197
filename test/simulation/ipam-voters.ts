import { AgreedClient } from '../../src/consensus/state/agreed-client.ts'
import { AgreedState } from '../../src/consensus/state/agreed-state.ts'
import { failure, type OverlayError } from '../../src/base/errors.ts'
import type { Life, SimulatedHost } from './ipam-host.ts'
import type { IpamWorld } from './ipam-world.ts'

const maxVoters = 5
/** A voter that is down is replaced after this long, ms. */
const replaceMs = 3000
const retryMs = 50

/**
 * The consensus that the address management stands on, as an oracle: one state, one log, as long as a
 * majority of the voters can reach each other. What a real one may do to its clients it does too: answers
 * are late or lost, and a command whose client gave up may be applied later, or not at all.
 */
export class Voters {
  readonly state = new AgreedState()
  readonly #world: IpamWorld
  #names: string[] = []
  readonly #downSince = new Map<string, number>()
  #index = 0
  #timeMs = 0
  /** The part of commands whose client gave up that are applied later all the same. */
  late = 0
  commands = 0
  /** Told of members that a leader evicted for their silence. */
  onEvicted: (names: readonly string[]) => void = () => {}

  constructor(world: IpamWorld) {
    this.#world = world
  }

  get names(): readonly string[] {
    return this.#names
  }

  /** A voter's wall clock is the log's; it may be off by this, ms. */
  skewMs = 0

  /** A host that takes part for the first time; the first five vote. */
  add(name: string): void {
    if (this.#names.length < maxVoters && !this.#names.includes(name)) this.#names.push(name)
  }

  /** The host that leads: a voter that reaches a majority. */
  leader(): string | undefined {
    const { hosts } = this.#world
    return this.#names.find((name) => hosts.get(name)?.up === true && this.#reaches(name))
  }

  /** The voter that takes that host's commands to the leader; undefined when none can. */
  #entry(host: string): string | undefined {
    const leader = this.leader()
    if (leader === undefined) return undefined
    return this.#names.find((voter) => {
      return this.#world.passes(host, voter) && this.#world.reachable(voter, leader)
    })
  }

  /** An operator says that the others are gone for good: those that run go on. */
  recover(): void {
    const running = [...this.#world.hosts.values()].filter(({ up }) => up)
    this.#names = running.slice(0, maxVoters).map(({ name }) => name)
    this.#downSince.clear()
  }

  clientOf(host: SimulatedHost, life: Life): AgreedClient {
    const { name } = host
    const client = {
      submit: (command: Uint8Array, { timeoutMs }: { timeoutMs: number }) => {
        return this.#call(name, life, timeoutMs, true, () => this.#apply(command, name))
      },
      query: (question: Uint8Array, { timeoutMs }: { timeoutMs: number }) => {
        return this.#call(name, life, timeoutMs, false, () => this.state.query(question))
      },
    }
    return new AgreedClient(client, '')
  }

  /** Dead voters give way to hosts that run, one at a time, while a majority is left. */
  replaceDead(): void {
    const { clock, hosts } = this.#world
    const now = clock.now()
    for (const name of this.#names) {
      if (hosts.get(name)?.up === true) this.#downSince.delete(name)
      else if (!this.#downSince.has(name)) this.#downSince.set(name, now)
    }
    const leader = this.leader()
    if (leader === undefined) return
    const dead = this.#names.find((name) => now - (this.#downSince.get(name) ?? now) > replaceMs)
    if (dead === undefined) return
    const spare = [...hosts.values()].find(({ name, up }) => {
      return up && !this.#names.includes(name) && this.#world.reachable(leader, name)
    })
    this.#downSince.delete(dead)
    this.#names = this.#names.filter((name) => name !== dead)
    if (spare !== undefined) this.#names.push(spare.name)
  }

  #apply(command: Uint8Array, from: string): Uint8Array {
    this.commands++
    this.#timeMs = Math.max(this.#timeMs, this.#world.clock.wall() + this.skewMs)
    const at = { index: ++this.#index, timeMs: this.#timeMs, version: this.state.version, from }
    const result = this.state.apply(command, at)
    this.#tellEvicted(command, result)
    return result
  }

  #tellEvicted(command: Uint8Array, result: Uint8Array): void {
    const [sent, got] = [command, result].map((bytes) =>
      JSON.parse(new TextDecoder().decode(bytes)),
    )
    if (sent.op === 'evict' && sent.lapsedMs !== null && 'ok' in got) this.onEvicted(got.ok.evicted)
  }

  /** Retried until a majority has it; applied once, by the client's session. */
  #call(
    name: string,
    life: Life,
    timeoutMs: number,
    mayBeLate: boolean,
    decide: () => Uint8Array,
  ): Promise<Uint8Array> {
    const { clock, weather } = this.#world
    return new Promise((resolve, reject) => {
      let result: Uint8Array | null = null
      let isOver = false
      const attempt = (): void => {
        if (isOver || !life.alive) return
        const isLost = this.#world.chance(weather.loss)
        const entry = isLost ? undefined : this.#entry(name)
        if (entry !== undefined) {
          result ??= decide()
          const answerLost = this.#world.chance(weather.loss) || !this.#world.passes(entry, name)
          const answer = result
          if (!answerLost)
            return void clock.setTimeout(() => finish(() => resolve(answer)), this.#delay())
        }
        clock.setTimeout(attempt, retryMs)
      }
      const finish = (settle: () => void): void => {
        if (isOver || !life.alive) return
        isOver = true
        settle()
      }
      clock.setTimeout(attempt, this.#delay())
      clock.setTimeout(() => {
        if (isOver) return
        finish(() => reject(this.#noQuorum(name)))
        const isLate = mayBeLate && result === null && this.#world.chance(this.late)
        if (isLate)
          clock.setTimeout(() => this.leader() !== undefined && decide(), this.#delay() * 20)
      }, timeoutMs)
    })
  }

  #delay(): number {
    const { delayMs, jitterMs } = this.#world.weather
    return 2 * delayMs + (jitterMs * this.#world.random.uint32()) / 2 ** 32
  }

  #reaches(name: string): boolean {
    const near = this.#names.filter((other) => this.#world.reachable(name, other)).length
    return 2 * near > this.#names.length
  }

  #noQuorum(name: string): OverlayError {
    const missing = this.#names.filter((voter) => !this.#world.reachable(name, voter))
    return failure(
      'QUORUM',
      `no majority of the ${this.#names.length} voters answers: nothing is heard from ${missing.join(', ')}; bring them ` +
        'back or, if they are gone for good, run "ts-overlay recover" on one that is left',
    )
  }
}
