/**
 * Membership as a gossip library gives it, in the small: probes round robin with two helpers,
 * suspicion, refutation, incarnations, announcements that reach others late or never, exchange of
 * the whole view on joining and now and then. Fast enough for a thousand members; the real library
 * is tested apart.
 */
import type { Clock, Timer } from '../../../src/base/clock.ts'
import { type Random, below, pick, shuffled } from '../../../src/base/random.ts'
import type {
  GossipHooks,
  GossipTransport,
  JoinOutcome,
  MemberState,
} from '../../../src/cluster/gossip/gossip-transport.ts'
import { type Ip, parseIp } from '../../../src/net/ip.ts'
import type { VirtualNetwork } from './virtual-network.ts'

interface Fact {
  readonly name: string
  readonly host: Ip
  readonly state: MemberState
  readonly incarnation: number
  readonly meta: Uint8Array
}

/** The shared street map: who listens where. */
export type Directory = Map<string, ModelGossip>

const port = 7946
const probeMs = 500
const probeTimeoutMs = 200
const suspicionMs = 1500
const helpersPerProbe = 2
const exchangeMs = 15_000
const reconnectMs = 1000
/** How long an announcement takes to reach a member: a few ticks of 200 ms. */
const spreadMostMs = 500

export interface ModelParts {
  readonly net: VirtualNetwork
  readonly directory: Directory
  readonly clock: Clock
  readonly random: Random
  /** Share of announcements that reach a member only with an exchange of views. */
  readonly misses: number
}

export class ModelGossip implements GossipTransport {
  readonly maxPacketPayload = 1350
  readonly host: Ip
  readonly name: string
  readonly #net: VirtualNetwork
  readonly #directory: Directory
  readonly #clock: Clock
  readonly #random: Random
  readonly #misses: number
  readonly #view = new Map<string, Fact>()
  readonly #timers = new Set<Timer>()
  readonly #seeds = new Set<Ip>()
  readonly #suspected = new Map<string, Timer>()
  #hooks: GossipHooks | null = null
  #incarnation = 1
  #round: string[] = []
  #open = false
  #leaving = false

  constructor(name: string, host: Ip, parts: ModelParts) {
    this.name = name
    this.host = host
    this.#net = parts.net
    this.#directory = parts.directory
    this.#clock = parts.clock
    this.#random = parts.random
    this.#misses = parts.misses
  }

  async start(hooks: GossipHooks): Promise<void> {
    this.#hooks = hooks
    this.#open = true
    this.#net.up(this.name)
    this.#directory.set(this.host, this)
    this.#after(below(this.#random, probeMs), () => this.#probe())
    this.#after(below(this.#random, exchangeMs), () => this.#exchange())
    this.#after(below(this.#random, reconnectMs), () => this.#reconnect())
  }

  async join(seeds: readonly string[]): Promise<JoinOutcome> {
    const errors: Error[] = []
    let contacted = 0
    let own = 0
    for (const seed of seeds) {
      const host = parseIp(seed)
      if (host === null) throw new Error(`${seed} is no address`)
      if (host === this.host) {
        own++
        continue
      }
      this.#seeds.add(host)
      const error = await this.#dial(host)
      if (error === null) contacted++
      else errors.push(error)
    }
    return { contacted, own, errors }
  }

  /**
   * Makes two members know all that either knows, at once: for large clusters that start complete.
   */
  know(facts: readonly Fact[]): void {
    for (const fact of facts) this.#learn(fact)
  }

  updateMeta(): void {
    if (this.#leaving) return
    this.#incarnation++
    this.#announce(this.fact('alive'))
  }

  sendUnreliable(member: string, bytes: Uint8Array): void {
    const other = this.#peer(member)
    if (other === undefined || !this.#open) return
    const copy = bytes.slice()
    this.#net.packet(this.name, other.name, bytes.length, () => other.receive(copy))
  }

  async sendReliable(member: string, bytes: Uint8Array): Promise<void> {
    const other = this.#peer(member)
    if (other === undefined || !this.#open) throw new Error(`${member} is unknown`)
    const copy = bytes.slice()
    await this.#net.stream(this.name, other.name, bytes.length, () => other.receive(copy))
  }

  async leave(): Promise<void> {
    this.#leaving = true
    this.#announce(this.fact('left'))
    await new Promise<void>((resolve) => this.#clock.setTimeout(resolve, spreadMostMs))
  }

  async close(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    if (this.#directory.get(this.host) === this) {
      this.#directory.delete(this.host)
      this.#net.down(this.name)
    }
    for (const timer of this.#timers) this.#clock.clearTimeout(timer)
    for (const timer of this.#suspected.values()) this.#clock.clearTimeout(timer)
  }

  receive(bytes: Uint8Array): void {
    if (this.#open) this.#hooks?.onMessage(bytes)
  }

  /** The exchange of views, both ways. */
  meet(other: ModelGossip): void {
    if (!this.#open || !other.#open) return
    const mine = [this.fact('alive'), ...this.#view.values()]
    const theirs = [other.fact('alive'), ...other.#view.values()]
    for (const fact of theirs) this.#learn(fact)
    for (const fact of mine) other.#learn(fact)
    other.#announce(other.fact('alive'))
  }

  fact(state: MemberState): Fact {
    const meta = this.#hooks?.meta() ?? new Uint8Array()
    return { name: this.name, host: this.host, state, incarnation: this.#incarnation, meta }
  }

  #peer(name: string): ModelGossip | undefined {
    const fact = this.#view.get(name)
    return fact === undefined ? undefined : this.#directory.get(fact.host)
  }

  /** An incoming claim: alive needs a newer incarnation, anything worse the same. */
  #learn(fact: Fact): void {
    if (!this.#open) return
    if (fact.name === this.name) return this.#hearOfSelf(fact)
    const known = this.#view.get(fact.name)
    if (known !== undefined && !supersedes(fact, known)) return
    this.#set(fact)
  }

  /** Contradicts what is wrong, and what an earlier run of ours has said. */
  #hearOfSelf({ state, incarnation, meta }: Fact): void {
    const own = this.#hooks?.meta() ?? new Uint8Array()
    const isTrue = state === 'alive' && Buffer.compare(meta, own) === 0
    const isOld = incarnation < this.#incarnation || (incarnation === this.#incarnation && isTrue)
    if (this.#leaving || isOld) return
    this.#incarnation = incarnation + 1
    this.#announce(this.fact('alive'))
  }

  #set(fact: Fact): void {
    this.#view.set(fact.name, fact)
    const suspicion = this.#suspected.get(fact.name)
    if (suspicion !== undefined && fact.state !== 'suspect') {
      this.#clock.clearTimeout(suspicion)
      this.#suspected.delete(fact.name)
    }
    if (fact.state === 'suspect' && suspicion === undefined) {
      const wait = suspicionMs + below(this.#random, suspicionMs)
      const timer = this.#clock.setTimeout(() => this.#condemn(fact), wait)
      this.#suspected.set(fact.name, timer)
    }
    const { name, host, state, meta } = fact
    this.#hooks?.onMember({ name, host, port, state, meta })
  }

  #condemn(fact: Fact): void {
    this.#suspected.delete(fact.name)
    if (!this.#open || this.#view.get(fact.name)?.state !== 'suspect') return
    const dead: Fact = { ...this.#view.get(fact.name)!, state: 'dead' }
    this.#set(dead)
    this.#announce(dead)
  }

  #announce(fact: Fact): void {
    for (const known of this.#view.values()) {
      if (known.state === 'left' && known.name !== fact.name) continue
      const wait = below(this.#random, spreadMostMs)
      if (this.#net.chance(this.#misses)) continue
      this.#clock.setTimeout(() => {
        const target = this.#directory.get(known.host)
        if (target !== undefined && this.#net.passes(this.name, target.name)) target.#learn(fact)
      }, wait)
    }
  }

  #probe(): void {
    this.#after(probeMs, () => this.#probe())
    const target = this.#nextTarget()
    const peer = target === undefined ? undefined : this.#peer(target)
    const known = target === undefined ? undefined : this.#view.get(target)
    if (target === undefined || known === undefined) return
    let answered = false
    if (peer !== undefined && peer.name === target && this.#roundTrip(target)) {
      this.#after(2 * this.#net.delayMs(), () => {
        const payload = peer.#hooks?.ackPayload()
        if (payload !== undefined) this.#hooks?.onAck(target, payload)
      })
      answered = true
    } else {
      const others = [...this.#view.values()].filter(
        ({ name, state }) => state === 'alive' && name !== target,
      )
      for (const helper of shuffled(this.#random, others).slice(0, helpersPerProbe)) {
        const relay = this.#directory.get(helper.host)
        if (relay?.name !== helper.name || !this.#roundTrip(relay.name)) continue
        answered ||= relay.#roundTrip(target)
      }
    }
    if (answered || known.state !== 'alive') return
    this.#after(probeTimeoutMs, () => {
      const now = this.#view.get(target)
      if (now?.state !== 'alive') return
      const suspect: Fact = { ...now, state: 'suspect' }
      this.#set(suspect)
      this.#announce(suspect)
      if (peer !== undefined) peer.#hear(suspect, this.name)
    })
  }

  /** A suspect hears of it when there is a way, and refutes. */
  #hear(fact: Fact, from: string): void {
    if (this.#net.passes(from, this.name)) this.#learn(fact)
  }

  #roundTrip(target: string): boolean {
    const { loss } = this.#net.faults
    const there = this.#net.passes(this.name, target) && !this.#net.chance(loss)
    return there && this.#net.passes(target, this.name) && !this.#net.chance(loss)
  }

  #nextTarget(): string | undefined {
    for (;;) {
      const name = this.#round.pop()
      if (name === undefined) break
      const state = this.#view.get(name)?.state
      if (state === 'alive' || state === 'suspect') return name
    }
    this.#round = shuffled(this.#random, [...this.#view.keys()])
    return this.#round.pop()
  }

  #exchange(): void {
    this.#after(exchangeMs, () => this.#exchange())
    const other = pick(this.#random, this.#inState('alive'))
    if (other !== undefined) void this.#dial(other.host)
  }

  /** Absent seeds always, the dead with the chance dead / alive, as serf does. */
  #reconnect(): void {
    this.#after(reconnectMs, () => this.#reconnect())
    const live = [...this.#inState('alive'), ...this.#inState('suspect')]
    const hosts = new Set(live.map(({ host }) => host))
    const absent = pick(
      this.#random,
      [...this.#seeds].filter((host) => !hosts.has(host)),
    )
    if (absent !== undefined) void this.#dial(absent)
    const dead = this.#inState('dead')
    const lost = pick(this.#random, dead)
    if (lost !== undefined && this.#net.chance(dead.length / Math.max(1, live.length))) {
      void this.#dial(lost.host).then((error) => (error === null ? this.#dial(lost.host) : null))
    }
  }

  async #dial(host: Ip): Promise<Error | null> {
    const other = this.#directory.get(host)
    const name = other?.name ?? `nobody at ${host}`
    try {
      await this.#net.stream(this.name, name, 1000, () => other?.meet(this))
      return null
    } catch (error) {
      return error as Error
    }
  }

  #inState(state: MemberState): Fact[] {
    return [...this.#view.values()].filter((fact) => fact.state === state)
  }

  #after(ms: number, fn: () => void): void {
    const timer = this.#clock.setTimeout(() => {
      this.#timers.delete(timer)
      if (this.#open) fn()
    }, ms)
    this.#timers.add(timer)
  }
}

const severity: Record<MemberState, number> = { alive: 0, suspect: 1, dead: 2, left: 3 }

function supersedes(fact: Fact, known: Fact): boolean {
  if (fact.incarnation !== known.incarnation) return fact.incarnation > known.incarnation
  return severity[fact.state] > severity[known.state]
}
