import { failure } from '../../src/base/errors.ts'
import type { Logger } from '../../src/base/logger.ts'
import { pick, type Random, seededRandom } from '../../src/base/random.ts'
import type { Json, MemberState } from '../../src/ipam/ports.ts'
import { vacateAfterMs } from '../../src/ipam/voting/vacancies.ts'
import type { Ip } from '../../src/net/ip.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { type Life, SimulatedHost } from './ipam-host.ts'

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

/** The records of a member that was not heard of for this long are forgotten, ms: as in the cluster's `hiddenHoldMs`. */
const hiddenMs = 600_000

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
  /** After how long dead a voter loses its seat, ms. */
  vacateAfterMs = vacateAfterMs
  /** Whether members see what others publish. It saves asking in vain; votes must do without. */
  records = true
  /** Members tell each other of records and members this often, ms. */
  gossipMs = 80
  /** How long a start takes to reach the other members, ms. */
  joinMs = 0
  /** Which side of a cut a host is on; hosts on different sides do not hear each other. */
  readonly #sides = new Map<string, number>()
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
    this.hosts.set(name, host)
    await this.run(host.start())
    return host
  }

  /** `count` hosts h1, h2, …: the first founds, the others join it; waits until all have a seat. */
  async grow(count: number): Promise<SimulatedHost[]> {
    const hosts: SimulatedHost[] = []
    for (let i = 1; i <= count; i++) hosts.push(await this.add(`h${i}`, i === 1 ? [] : ['h1']))
    await this.until(() => hosts.every(({ ipam }) => ipam.status().voter.seated), 20_000)
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
    this.#changed()
  }

  heal(): void {
    this.#sides.clear()
    this.#changed()
  }

  reachable(a: string, b: string): boolean {
    if (a === b) return true
    if (this.hosts.get(a)?.up !== true || this.hosts.get(b)?.up !== true) return false
    return (this.#sides.get(a) ?? 0) === (this.#sides.get(b) ?? 0)
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
      host.copies.delete(name)
    }
    this.#changed()
  }

  holderOf(asking: string, poolKey: string, ip: Ip): { member: string; address: string } | null {
    const member = this.endpoints.get(`${poolKey} ${ip}`)
    if (member === undefined || member === asking) return null
    return this.reachable(asking, member) ? { member, address: '192.0.2.1' } : null
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
    if (!sender.alive || !this.reachable(from, to) || this.chance(this.weather.loss)) return
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

  /** Every member takes over from every other it can reach, or from a few when there are many. */
  #gossip(): void {
    for (const host of this.hosts.values()) {
      if (!host.up) continue
      let changed = false
      for (const name of host.known) {
        const other = this.hosts.get(name)
        if (name === host.name) continue
        if (other === undefined || !this.reachable(host.name, name)) {
          changed = this.#forgetRecords(host, name) || changed
          continue
        }
        if (this.chance(this.weather.loss)) continue
        host.synced = true
        other.synced = true
        changed = this.#copy(other, host) || changed
        changed = this.#copy(host, other) || changed
      }
      if (changed) host.life?.listener()
    }
  }

  #forgetRecords(host: SimulatedHost, member: string): boolean {
    const copy = host.copies.get(member)
    if (copy === undefined || this.clock.now() - copy.at < hiddenMs) return false
    return host.copies.delete(member)
  }

  #copy(from: SimulatedHost, to: SimulatedHost): boolean {
    const before = to.known.size
    for (const name of from.known) to.known.add(name)
    const published = from.life?.published
    if (published === undefined) return false
    if (!this.records) return to.known.size > before
    const blocks = [...published.blocks.values()]
    const pools = [...published.pools.values()]
    to.copies.set(from.name, { blocks, pools, at: this.clock.now() })
    return to.known.size > before || blocks.length + pools.length > 0
  }

  #changed(): void {
    for (const host of this.hosts.values()) host.life?.listener()
  }

  /** One of the hosts that run. */
  anyUp(): SimulatedHost | undefined {
    return pick(
      this.random,
      [...this.hosts.values()].filter(({ up }) => up),
    )
  }
}
