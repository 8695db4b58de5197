import { below, pick } from '../../src/base/random.ts'
import { parseCidr } from '../../src/net/cidr.ts'
import { type Ip, parseIp } from '../../src/net/ip.ts'
import type { SimulatedHost } from './ipam-host.ts'
import { Observer } from './ipam-observer.ts'
import { IpamWorld } from './ipam-world.ts'

/** Hosts that come and go and are up at the same time. */
const guestsUp = 4
/** A host joins, and another dies, this often, ms. With a thousand deaths in three weeks it is every 30 minutes: 4 s are those. */
const cycleMs = 4000
/** An address of a host that is evicted has to be had within this time, ms. */
const atOnceMs = 500

export interface ChurnOptions {
  readonly subnet: string
  /** Hosts that stay, and how many addresses each has about. */
  readonly coreSize: number
  readonly coreAddresses: number
  /** So many are dead and not evicted at a time, when nobody says anything; null: somebody does, at each death. */
  readonly deadAtATime: number | null
}

/**
 * Weeks of a network in which hosts join, use some addresses and die without a word, for good: one at a time, a
 * thousand of them. Throws when a request is refused, or answered with what somebody has, or when the addresses
 * of one that was evicted cannot be had at once.
 */
export class Churn {
  readonly world: IpamWorld
  readonly observer: Observer
  readonly #options: ChurnOptions
  readonly #byHand: boolean
  readonly #forgetAfterMs: number
  /** Dead and not evicted yet, with what they had in blocks of their own. */
  readonly #dead = new Map<string, Ip[]>()
  readonly #guests: SimulatedHost[] = []
  #core: SimulatedHost[] = []
  #violation: Error | null = null
  deaths = 0
  evicted = 0
  deadMost = 0

  constructor(seed: number, options: ChurnOptions) {
    this.world = new IpamWorld(seed)
    this.world.gossipMs = 250
    this.#options = options
    this.#byHand = options.deadAtATime === null
    this.#forgetAfterMs = (options.deadAtATime ?? 1000) * cycleMs
    this.world.forgetAfterMs = this.#forgetAfterMs
    this.observer = new Observer(this.world)
    this.world.voters.onEvicted = (names) => names.forEach((name) => this.observer.loses(name))
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
      await this.#look()
      if (this.#violation !== null) throw this.#violation
    }
    const end = this.world.clock.now() + 2 * this.#forgetAfterMs + 60_000
    while (this.#dead.size > 0 && this.world.clock.now() < end) {
      await this.world.clock.advance(cycleMs)
      await this.#look()
    }
    if (this.#dead.size > 0) throw new Error(`${[...this.#dead.keys()].join(' ')} were not evicted`)
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
    this.world.end()
  }

  async #join(): Promise<void> {
    const seeds = this.#core.map(({ name }) => name)
    const host = await this.world.add(`guest${this.deaths}-${this.world.hosts.size}`, seeds)
    this.#guests.push(host)
    await this.#settle(host, 1 + below(this.world.random, 6))
  }

  async #settle(host: SimulatedHost, addresses: number): Promise<void> {
    const { ipam } = host
    const { subnet } = this.#options
    const poolId = this.#poolId
    const pool = parseCidr(subnet)!
    const wish = { space: 'ts-overlay', pool, subPool: null, options: {}, ipv6: false }
    await this.world.run(ipam.requestPool(wish))
    await this.world.run(ipam.requestAddress({ poolId, address: null, gateway: true }))
    await this.world.run(ipam.bindings.bindPool(subnet, 'network'))
    for (let i = 0; i < addresses; i++) await this.#take(host)
  }

  /** Which of the dead were evicted since. */
  async #look(): Promise<void> {
    if (this.#byHand || this.#dead.size === 0) return
    const [core] = this.#core
    const members = await this.world.run(core!.life!.agreement.members()(1000))
    const names = new Set(members.map(({ name }) => name))
    for (const name of this.#dead.keys()) if (!names.has(name)) await this.#isEvicted(name, core!)
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

  /** The host is gone for good. What its containers had is nobody's before it is evicted. */
  async #die(host: SimulatedHost): Promise<void> {
    this.deaths++
    const lent = host.ipam.status().pools[0]!.leases.filter(({ borrowed }) => borrowed)
    const had = this.observer.heldBy(host.name).map(([, ip]) => parseIp(ip)!)
    // What was lent to it is its owner's again, who may be dead as well.
    this.#dead.set(
      host.name,
      had.filter((address) => !lent.some(({ ip }) => ip === address)),
    )
    host.crash(true)
    this.deadMost = Math.max(this.deadMost, this.#dead.size)
    if (!this.#byHand) return
    const teller = pick(this.world.random, this.#core)!
    await this.world.run(teller.ipam.evict([host.name]))
    await this.#isEvicted(host.name, teller)
  }

  /** Its addresses can be had at once, by the host that had it evicted, or some other has them. */
  async #isEvicted(member: string, by: SimulatedHost): Promise<void> {
    const had = this.#dead.get(member)
    if (had === undefined) return
    this.#dead.delete(member)
    this.evicted++
    this.observer.loses(member)
    this.world.hosts.delete(member)
    const { subnet } = this.#options
    const poolId = this.#poolId
    const began = this.world.clock.now()
    const taken = Promise.all(
      had.map(async (address) => {
        const wish = { poolId, address, gateway: false }
        const got = await by.ipam.requestAddress(wish).catch((error: unknown) => {
          // The block was free, and a host that lives was quicker.
          const holder = this.observer.holderOf(subnet, address)
          if (holder === undefined || this.#dead.has(holder)) throw error
          return null
        })
        if (got === null) return
        this.observer.takes(by.name, subnet, got)
        this.observer.frees(by.name, subnet, address)
        await by.ipam.releaseAddress({ poolId, address })
      }),
    ).then(() => {
      const ms = this.world.clock.now() - began
      if (ms > atOnceMs) throw new Error(`the addresses of ${member} were free after ${ms} ms`)
    })
    const work = taken.catch((error: unknown) => {
      this.#violation ??= new Error(`${member} is evicted: ${String(error)}`)
    })
    await this.world.run(work)
    for (const { known } of this.world.hosts.values()) known.delete(member)
  }
}
