import { failure } from '../../src/base/errors.ts'
import type { Logger } from '../../src/base/logger.ts'
import { pick, type Random, seededRandom } from '../../src/base/random.ts'
import type { Claimant, Json, MemberState } from '../../src/ipam/ports.ts'
import type { Ip } from '../../src/net/ip.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { type Life, SimulatedHost } from './ipam-host.ts'
import { Voters } from './ipam-voters.ts'

/** How bad the network is. */
export interface Weather {
  /** The part of messages that is lost, each way. */
  loss: number
  /** The part of requests that arrive twice. */
  duplication: number
  /** One way, ms. */
  delayMs: number
  /** How much longer some messages take, ms. */
  jitterMs: number
}

/**
 * Hosts, their disks and the network between them, in virtual time. Membership is an oracle: a member that cannot be
 * reached is dead at once. Everything is drawn from one seed.
 */
export class IpamWorld {
  readonly clock = new VirtualClock()
  readonly random: Random
  readonly hosts = new Map<string, SimulatedHost>()
  readonly weather: Weather = { loss: 0, duplication: 0, delayMs: 0.3, jitterMs: 0.5 }
  readonly endpoints = new Map<string, string>()
  logger: Logger | null = null
  readonly voters = new Voters(this)
  /** Members hear of each other this often, ms. */
  gossipMs = 80
  /** FORGET_AFTER of hosts that are added from now on, ms. */
  forgetAfterMs = 72 * 3_600_000
  /** How long a start takes to reach the other members, ms. */
  joinMs = 0
  /** Which side of a cut a host is on; hosts on different sides do not hear each other. */
  readonly #sides = new Map<string, number>()
  /** Pairs of hosts, sender and receiver, of which nothing arrives. */
  readonly #oneWay = new Set<string>()
  #gossiping = true
  messages = 0

  constructor(seed: number) {
    this.random = seededRandom(seed)
    this.#gossipLater()
  }

  chance(probability: number): boolean {
    return this.random.uint32() / 2 ** 32 < probability
  }

  host(name: string): SimulatedHost {
    const host = this.hosts.get(name)
    if (host === undefined) throw new Error(`no host ${name}`)
    return host
  }

  /** A new host; `seeds` as JOIN. */
  async add(name: string, seeds: readonly string[] = []): Promise<SimulatedHost> {
    const host = new SimulatedHost(name, seeds, this, this.random.uint32())
    host.forgetAfterMs = this.forgetAfterMs
    this.hosts.set(name, host)
    this.voters.add(name)
    await this.run(host.start())
    return host
  }

  /** `count` hosts h1, h2, …: the first founds, the others join it; waits until all are registered. */
  async grow(count: number): Promise<SimulatedHost[]> {
    const hosts: SimulatedHost[] = []
    for (let i = 1; i <= count; i++) hosts.push(await this.add(`h${i}`, i === 1 ? [] : ['h1']))
    await this.until(() => hosts.every(({ ipam }) => ipam.status().member.registered), 20_000)
    return hosts
  }

  /** Ends everything. */
  end(): void {
    this.#gossiping = false
    for (const host of this.hosts.values()) host.crash(false)
  }

  /** Puts hosts on sides; those not named are on side 0. */
  cut(...sides: readonly (readonly string[])[]): void {
    this.#sides.clear()
    sides.forEach((names, side) => names.forEach((name) => this.#sides.set(name, side + 1)))
  }

  /** What `from` sends does not reach `to`, though the other way it does. */
  cutOneWay(from: string, to: string): void {
    this.#oneWay.add(`${from} ${to}`)
  }

  heal(): void {
    this.#sides.clear()
    this.#oneWay.clear()
  }

  reachable(a: string, b: string): boolean {
    if (a === b) return true
    if (this.hosts.get(a)?.up !== true || this.hosts.get(b)?.up !== true) return false
    return (this.#sides.get(a) ?? 0) === (this.#sides.get(b) ?? 0)
  }

  /** Whether what one host sends reaches another. */
  passes(from: string, to: string): boolean {
    return this.reachable(from, to) && !this.#oneWay.has(`${from} ${to}`)
  }

  membersSeenBy(host: SimulatedHost): MemberState[] {
    return Array.from(host.known, (name) => ({
      name,
      state: this.reachable(host.name, name) ? 'alive' : 'dead',
    }))
  }

  /** A member says goodbye: the others forget its membership. */
  depart(name: string): void {
    this.host(name).crash(false)
    for (const host of this.hosts.values()) {
      if (host.name === name) continue
      host.known.delete(name)
    }
  }

  /**
   * Endpoints of other members: those that a test makes, and those of containers with an address that the asking host has
   * too. The others are left out, so that nothing keeps a fault of address management from being seen.
   */
  claimants(asking: SimulatedHost, poolKey: string, ip: Ip): Claimant[] {
    const made = this.endpoints.get(`${poolKey} ${ip}`)
    const isDoubted = asking.hasLease(poolKey, ip)
    return [...asking.known]
      .filter((name) => name !== asking.name)
      .filter((name) => name === made || (isDoubted && this.hosts.get(name)?.hasLease(poolKey, ip)))
      .map((member) => {
        return { member, address: '192.0.2.1', live: this.reachable(asking.name, member) }
      })
  }

  ask(life: Life, from: string, to: string, message: Json, timeoutMs: number): Promise<Json> {
    this.messages++
    const text = JSON.stringify(message)
    return new Promise((resolve, reject) => {
      const late = failure('DEADLINE', `${to} did not answer`)
      this.clock.setTimeout(() => reject(late), timeoutMs)
      const deliver = (): void => {
        this.#send(life, from, to, () => {
          const receiver = this.hosts.get(to)?.life
          if (receiver?.handler === null || receiver === undefined || receiver === null) return
          receiver.handler(from, JSON.parse(text) as Json).then(
            (answer) => {
              const reply = JSON.stringify(answer)
              if (!receiver.alive) return
              this.#send(receiver, to, from, () => life.alive && resolve(JSON.parse(reply) as Json))
            },
            (error: unknown) => reject(error),
          )
        })
      }
      deliver()
      if (this.chance(this.weather.duplication)) deliver()
    })
  }

  /** Moves time on until something holds. */
  async until(holds: () => boolean, maxMs: number): Promise<void> {
    const end = this.clock.now() + maxMs
    while (!holds()) {
      if (this.clock.now() >= end) throw new Error(`did not come about within ${maxMs} ms`)
      await this.clock.advance(20)
    }
  }

  /** Runs something that needs time to pass. */
  async run<T>(work: Promise<T>, maxMs = 60_000): Promise<T> {
    let done = false
    const settled = work.finally(() => (done = true))
    settled.catch(() => {})
    await this.until(() => done, maxMs)
    return settled
  }

  #send(sender: Life, from: string, to: string, arrive: () => void): void {
    if (!sender.alive || !this.passes(from, to) || this.chance(this.weather.loss)) return
    const { delayMs, jitterMs } = this.weather
    const ms = delayMs + (jitterMs * this.random.uint32()) / 2 ** 32
    this.clock.setTimeout(() => {
      if (this.reachable(from, to)) arrive()
    }, ms)
  }

  #gossipLater(): void {
    this.clock.setTimeout(() => {
      if (!this.#gossiping) return
      this.#gossip()
      this.#gossipLater()
    }, this.gossipMs)
  }

  /** Every member learns from every other it can reach whom that knows. */
  #gossip(): void {
    this.voters.replaceDead()
    for (const host of this.hosts.values()) {
      if (!host.up) continue
      for (const name of host.known) {
        const other = this.hosts.get(name)
        if (name === host.name || other === undefined) continue
        if (!this.reachable(host.name, name) || this.chance(this.weather.loss)) continue
        for (const known of other.known) host.known.add(known)
        other.known.add(host.name)
      }
    }
  }

  /** One of the hosts that run. */
  anyUp(): SimulatedHost | undefined {
    return pick(
      this.random,
      [...this.hosts.values()].filter(({ up }) => up),
    )
  }
}
