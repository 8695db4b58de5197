import { silentLogger } from '../../src/base/logger.ts'
import { below, pick } from '../../src/base/random.ts'
import { Forgetting } from '../../src/wiring/eviction.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { type Ip, parseIp } from '../../src/net/ip.ts'
import { MemoryStore } from '../../src/store/memory-store.ts'
import type { SimulatedHost } from './ipam-host.ts'
import { Observer } from './ipam-observer.ts'
import { IpamWorld } from './ipam-world.ts'

/** Hosts that come and go and are up at the same time. */
const guestsUp = 4
/** A host joins, and another dies, this often, ms. With a thousand deaths in three weeks it is every 30 minutes: 4 s are those. */
const cycleMs = 4000
/** Two deaths: more than an hour for those ten minutes. */
const vacateAfterMs = 2 * cycleMs
/** An address of a host that is forgotten has to be had within this time, ms. */
const atOnceMs = 500

export interface ChurnOptions {
  readonly subnet: string
  /** Hosts that stay, and how many addresses each has about. */
  readonly coreSize: number
  readonly coreAddresses: number
  /** So many are dead and not forgotten at a time, when nobody says anything; null: somebody does, at each death. */
  readonly deadAtATime: number | null
}

/**
 * Weeks of a network in which hosts join, use some addresses and die without a word, for good: one at a time, a
 * thousand of them. Throws when a request is refused, or answered with what somebody has, or when the addresses
 * of one that was forgotten cannot be had at once.
 */
export class Churn {
  readonly world: IpamWorld
  readonly observer: Observer
  readonly #options: ChurnOptions
  readonly #byHand: boolean
  readonly #forgetAfterMs: number
  readonly #forgettings = new Map<string, Forgetting>()
  /** Dead and not forgotten yet, with what they had in blocks of their own. */
  readonly #dead = new Map<string, Ip[]>()
  readonly #guests: SimulatedHost[] = []
  #core: SimulatedHost[] = []
  #violation: Error | null = null
  deaths = 0
  forgotten = 0
  votersMost = 0
  deadMost = 0

  constructor(seed: number, options: ChurnOptions) {
    this.world = new IpamWorld(seed)
    this.world.gossipMs = 250
    this.world.vacateAfterMs = vacateAfterMs
    this.#options = options
    this.#byHand = options.deadAtATime === null
    this.#forgetAfterMs = (options.deadAtATime ?? 0) * cycleMs
    this.observer = new Observer(this.world)
  }

  async run(deaths: number): Promise<void> {
    this.#core = await this.world.grow(this.#options.coreSize)
    for (const host of this.#core) await this.#settle(host, this.#options.coreAddresses)
    while (this.deaths < deaths) {
      const next = this.world.clock.now() + cycleMs / (this.#byHand ? 2 : 1)
      await this.#join()
      if (this.#guests.length > guestsUp) await this.#die(this.#guests.shift()!)
      for (const host of this.#core) await this.#change(host)
      await this.world.clock.advance(Math.max(0, next - this.world.clock.now()))
      if (this.#violation !== null) throw this.#violation
    }
    await this.world.until(() => this.#dead.size === 0, 2 * this.#forgetAfterMs + 60_000)
    if (this.#violation !== null) throw this.#violation
  }

  /** Takes all that there is; how many addresses are in use then. */
  async fill(): Promise<number> {
    const [host] = this.#core
    for (let refused = false; !refused;) {
      refused = await this.#take(host!).then(
        () => false,
        () => true,
      )
    }
    return this.observer.size
  }

  end(): void {
    for (const forgetting of this.#forgettings.values()) forgetting.stop()
    this.world.end()
  }

  async #join(): Promise<void> {
    const seeds = this.#core.map(({ name }) => name)
    const host = await this.world.add(`guest${this.deaths}-${this.world.hosts.size}`, seeds)
    this.#guests.push(host)
    await this.#settle(host, 1 + below(this.world.random, 6))
  }

  async #settle(host: SimulatedHost, addresses: number): Promise<void> {
    const { ipam, name } = host
    const { subnet } = this.#options
    const poolId = this.#poolId
    const pool = parseCidr(subnet)!
    const wish = { space: 'ts-overlay', pool, subPool: null, options: {}, ipv6: false }
    await this.world.run(ipam.requestPool(wish))
    await this.world.run(ipam.requestAddress({ poolId, address: null, gateway: true }))
    await this.world.run(ipam.bindPool(subnet, 'network'))
    for (let i = 0; i < addresses; i++) await this.#take(host)
    if (this.#byHand) return
    const forgetting = new Forgetting({
      clock: this.world.clock,
      logger: silentLogger,
      store: new MemoryStore(),
      members: () =>
        ipam.members().map(({ name, state, seated }) => {
          return { name, seated, away: state !== 'alive' }
        }),
      forget: async (members) => {
        await ipam.forgetAway(...members)
        for (const member of members) await this.#isForgotten(member, host)
      },
      afterMs: this.#forgetAfterMs,
    })
    forgetting.start()
    this.#forgettings.set(name, forgetting)
  }

  get #poolId(): string {
    return `ts-overlay/${this.#options.subnet}`
  }

  async #take(host: SimulatedHost, address: Ip | null = null): Promise<void> {
    const asked = host.ipam.requestAddress({ poolId: this.#poolId, address, gateway: false })
    this.observer.takes(host.name, this.#options.subnet, await this.world.run(asked))
  }

  /** A container ends on the host, and another starts. */
  async #change(host: SimulatedHost): Promise<void> {
    const [, ip] = pick(this.world.random, this.observer.heldBy(host.name))!
    this.observer.frees(host.name, this.#options.subnet, ip)
    await this.world.run(host.ipam.releaseAddress({ poolId: this.#poolId, address: ip as Ip }))
    await this.#take(host)
  }

  /** The host is gone for good. What its containers had is nobody's before it is forgotten. */
  async #die(host: SimulatedHost): Promise<void> {
    this.deaths++
    this.#forgettings.get(host.name)?.stop()
    this.#forgettings.delete(host.name)
    const lent = host.ipam.status().pools[0]!.leases.filter(({ borrowed }) => borrowed)
    const had = this.observer.heldBy(host.name).map(([, ip]) => parseIp(ip)!)
    // What was lent to it is its owner's again, who may be dead as well.
    this.#dead.set(
      host.name,
      had.filter((address) => !lent.some(({ ip }) => ip === address)),
    )
    host.crash(true)
    this.deadMost = Math.max(this.deadMost, this.#dead.size)
    const { voters } = this.#core[0]!.ipam.status().roster!
    this.votersMost = Math.max(this.votersMost, voters.length)
    if (!this.#byHand) return
    const teller = pick(this.world.random, this.#core)!
    await this.world.run(teller.ipam.forget(host.name))
    await this.#isForgotten(host.name, teller)
  }

  /** Its addresses can be had at once, by the host that had it forgotten and by any other that heard of it. */
  async #isForgotten(member: string, by: SimulatedHost): Promise<void> {
    const had = this.#dead.get(member)
    if (had === undefined) return
    this.#dead.delete(member)
    this.forgotten++
    this.observer.loses(member)
    this.world.hosts.delete(member)
    const members = by.ipam.members().map(({ name }) => name)
    if (members.includes(member)) this.#violation ??= new Error(`${member} is still on the roster`)
    const { subnet } = this.#options
    const poolId = this.#poolId
    const began = this.world.clock.now()
    const taken = Promise.all(
      had.map(async (address) => {
        const wish = { poolId, address, gateway: false }
        const got = await by.ipam.requestAddress(wish)
        this.observer.takes(by.name, subnet, got)
        this.observer.frees(by.name, subnet, address)
        await by.ipam.releaseAddress({ poolId, address })
      }),
    ).then(() => {
      const ms = this.world.clock.now() - began
      if (ms > atOnceMs) throw new Error(`the addresses of ${member} were free after ${ms} ms`)
    })
    const work = taken.catch((error: unknown) => {
      this.#violation ??= new Error(`${member} is forgotten: ${String(error)}`)
    })
    await (this.#byHand ? this.world.run(work) : work)
    for (const { known } of this.world.hosts.values()) known.delete(member)
  }
}
