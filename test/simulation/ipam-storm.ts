import { OverlayError } from '../../src/base/errors.ts'
import { below, pick } from '../../src/base/random.ts'
import { type Cidr, parseCidr } from '../../src/net/cidr.ts'
import { type Ip, parseIp } from '../../src/net/ip.ts'
import type { Life, SimulatedHost } from './ipam-host.ts'
import { compareBooks } from './ipam-books.ts'
import { chooseHappening, type Happening } from './ipam-happenings.ts'
import { Observer } from './ipam-observer.ts'
import { operate, seatsOfNobody, seatsShown } from './ipam-operator.ts'
import { IpamWorld } from './ipam-world.ts'

/** How long a storm blows, and what may happen in it. */
export interface StormOptions {
  readonly hosts: number
  readonly steps: number
  /** Whether disks may be lost, hosts join and leave, and dead ones be forgotten. */
  readonly comingAndGoing: boolean
}

const pools: readonly Cidr[] = ['10.0.0.0/27', '10.0.1.0/24', 'fd00:1::/64'].map((text) =>
  parseCidr(text)!,
)

/** An operator who is told that others are gone as well tries again, so often. */
const operations = 4

/**
 * Random allocation on several hosts while the network and the hosts fail, all from one seed; then calm, and the books must
 * agree. Throws with what happened when they do not, or when an address was given twice.
 */
export class Storm {
  readonly world: IpamWorld
  readonly observer: Observer
  readonly #options: StormOptions
  readonly #open = new Set<Promise<void>>()
  #violation: Error | null = null
  #hostsAdded: number

  constructor(seed: number, options: StormOptions) {
    this.world = new IpamWorld(seed)
    this.observer = new Observer(this.world)
    this.#options = options
    this.#hostsAdded = options.hosts
  }

  async blow(): Promise<void> {
    const { steps, hosts } = this.#options
    await this.world.grow(hosts)
    for (const host of this.world.hosts.values()) await this.#attach(host)
    for (let step = 0; step < steps && this.#violation === null; step++) {
      await this.#happen(chooseHappening(this.world.random, this.#options.comingAndGoing))
      await this.world.clock.advance(below(this.world.random, 200))
    }
    if (this.#violation !== null) throw this.#violation
  }

  /** The network heals and every host that was not removed comes back; then everything must agree. */
  async calm(): Promise<void> {
    const { world } = this
    world.heal()
    Object.assign(world.weather, { loss: 0, duplication: 0, jitterMs: 0.5 })
    for (const host of world.hosts.values()) if (!host.up) await this.#restart(host)
    await world.run(Promise.all(this.#open).then(() => {}))
    const seated = (): boolean =>
      [...world.hosts.values()].every(({ ipam }) => ipam.status().voter.seated)
    const settled = (): boolean => seated() && seatsOfNobody(world).length === 0
    for (let tries = 0; tries < operations; tries++) {
      await world.until(settled, 30_000).catch(() => operate(world, this.observer))
    }
    await world.until(seated, 30_000).catch(() => {
      throw new Error(`not all have a seat: ${seatsShown(world)}`)
    })
    await world.clock.advance(30_000)
    if (this.#violation !== null) throw this.#violation
    compareBooks(this.world, this.observer)
    for (const host of world.hosts.values()) await this.#take(host, pools[1]!)
    await world.run(Promise.all(this.#open).then(() => {}))
    if (this.#violation !== null) throw this.#violation
  }

  /** Every host lets go of every pool; no vote may be left anywhere. */
  async clear(): Promise<void> {
    const { world } = this
    for (const host of world.hosts.values()) {
      for (const cidr of pools) await world.run(host.ipam.releasePool(poolId(cidr)))
    }
    const empty = (): boolean =>
      [...world.hosts.values()].every(({ ipam }) => {
        const { votes } = ipam.status()
        return votes.given === 0 && votes.releasing === 0
      })
    await world.until(empty, 120_000).catch(() => {
      const left = [...world.hosts.values()].map(({ name, ipam }) => [name, ipam.status().votes])
      throw new Error(`votes are left over: ${JSON.stringify(left)}`)
    })
  }

  end(): void {
    this.world.end()
  }

  async #happen(happening: Happening): Promise<void> {
    const { world, observer } = this
    const host = world.anyUp()
    const down = pick(
      world.random,
      [...world.hosts.values()].filter(({ up }) => !up),
    )
    const names = [...world.hosts.keys()]
    switch (happening) {
      case 'take':
        if (host !== undefined) await this.#take(host, this.#anyPool())
        return
      case 'takeThis':
        if (host !== undefined) await this.#takeThis(host)
        return
      case 'free':
        if (host !== undefined) this.#free(host)
        return
      case 'cut': {
        const side = names.filter(() => world.chance(0.4))
        observer.note(`cut: ${side.join(' ')} | the others`)
        world.cut(side)
        return
      }
      case 'heal':
        observer.note('healed')
        world.heal()
        return
      case 'weather':
        world.weather.loss = pick(world.random, [0, 0.02, 0.2])!
        world.weather.duplication = pick(world.random, [0, 0.1])!
        world.weather.jitterMs = pick(world.random, [0.5, 5, 800])!
        return
      case 'crash':
        if (host === undefined) return
        observer.note(`${host.name} crashes`)
        host.crash(false)
        return
      case 'restart':
        if (down !== undefined) await this.#restart(down)
        return
      case 'loseDisk':
        if (host === undefined) return
        observer.note(`${host.name} loses its disk`)
        host.crash(true)
        observer.loses(host.name)
        return
      case 'join':
        return this.#join()
      case 'leave':
        if (host !== undefined) await this.#leave(host)
        return
      case 'forget':
        if (host !== undefined && down !== undefined) this.#forget(host, down)
    }
  }

  #anyPool(): Cidr {
    return pick(this.world.random, pools)!
  }

  async #attach(host: SimulatedHost): Promise<void> {
    for (const cidr of pools) {
      const { life } = host
      if (life === null) return
      const { ipam } = life
      const attached = (async () => {
        const wish = { space: 'ts-overlay', pool: cidr, subPool: null, options: {}, ipv6: false }
        const { poolId } = await ipam.requestPool(wish)
        await ipam.requestAddress({ poolId, address: null, gateway: true })
        await ipam.bindPool(cidr, `network-${host.name}`)
      })()
      attached.catch((error: unknown) =>
        this.observer.note(`${host.name} attach: ${String(error)}`),
      )
      await this.world.run(Promise.race([attached, this.#timeOut(life)])).catch(() => {})
    }
  }

  async #take(host: SimulatedHost, cidr: Cidr): Promise<void> {
    const count = 1 + below(this.world.random, 4)
    for (let i = 0; i < count; i++) this.#ask(host, cidr, null)
    await this.world.clock.settle()
  }

  async #takeThis(host: SimulatedHost): Promise<void> {
    const cidr = this.#anyPool()
    const offset = BigInt(2 + below(this.world.random, 28))
    const base = cidr.slice(0, cidr.indexOf('/'))
    const text = base.includes(':')
      ? `${base}${offset.toString(16)}`
      : base.replace(/0$/, `${offset}`)
    this.#ask(host, cidr, parseIp(text))
    await this.world.clock.settle()
  }

  #ask(host: SimulatedHost, cidr: Cidr, address: Ip | null): void {
    const { life } = host
    if (life === null) return
    const began = this.world.clock.now()
    const asked = life.ipam.requestAddress({ poolId: poolId(cidr), address, gateway: false }).then(
      (got) => {
        if (life.alive) this.observer.takes(host.name, cidr, got)
      },
      (error: unknown) => {
        if (!(error instanceof OverlayError)) throw error
        this.observer.refuses(error.code)
      },
    )
    const bounded = asked.then(() => {
      const took = this.world.clock.now() - began
      if (life.alive && took > 8000) throw new Error(`${host.name} took ${took} ms to answer`)
    })
    const tracked: Promise<void> = Promise.race([bounded, this.#timeOut(life)])
      .catch((error: unknown) => {
        this.#violation ??= error as Error
      })
      .finally(() => this.#open.delete(tracked))
    this.#open.add(tracked)
  }

  #free(host: SimulatedHost): void {
    const held = pick(this.world.random, this.observer.heldBy(host.name))
    if (held === undefined) return
    const [cidr, ip] = held
    this.observer.frees(host.name, cidr, ip)
    void host.ipam.releaseAddress({ poolId: poolId(cidr as Cidr), address: ip as Ip })
  }

  async #restart(host: SimulatedHost): Promise<void> {
    this.observer.note(`${host.name} starts`)
    await this.world.run(host.start())
    const held = new Set(host.ipam.leases().map(({ poolKey, ip }) => `${poolKey} ${ip}`))
    for (const [poolKey, ip] of this.observer.heldBy(host.name)) {
      if (!held.has(`${poolKey} ${ip}`)) throw new Error(`${host.name} forgot ${poolKey} ${ip}`)
    }
    if (host.ipam.boundPools().length < pools.length) await this.#attach(host)
  }

  async #join(): Promise<void> {
    const seed = this.world.anyUp()
    if (seed === undefined || this.world.hosts.size > this.#options.hosts + 3) return
    const name = `h${++this.#hostsAdded}`
    this.observer.note(`${name} joins ${seed.name}`)
    const host = await this.world.add(name, [seed.name])
    await this.#attach(host)
  }

  /** A host is drained and taken out of the cluster for good. */
  async #leave(host: SimulatedHost): Promise<void> {
    if (this.world.hosts.size <= 2) return
    this.observer.note(`${host.name} leaves`)
    const { ipam } = host
    this.observer.loses(host.name)
    for (const cidr of pools) await this.world.run(ipam.releasePool(poolId(cidr)))
    // What was answered while the pools were being released is released with them.
    this.observer.loses(host.name)
    await this.world.run(ipam.left())
    this.world.depart(host.name)
    const stillVoter = ipam.status().voter.seated
    if (!stillVoter) this.world.hosts.delete(host.name)
    else this.observer.note(`${host.name} could not give up its seat`)
  }

  /** An operator declares a dead host gone for good; its containers are gone too. */
  #forget(host: SimulatedHost, gone: SimulatedHost): void {
    this.observer.note(`${host.name} is told to forget ${gone.name}`)
    this.observer.loses(gone.name)
    gone.crash(true)
    host.ipam.forget(gone.name).catch(() => {})
  }

  /** Nobody waits for an answer longer than this; of a host that crashed there is none to wait for. */
  #timeOut(life: Life): Promise<void> {
    return new Promise((resolve, reject) => {
      this.world.clock.setTimeout(() => {
        if (life.alive) reject(new Error('gave no answer in 30 s'))
        else resolve()
      }, 30_000)
    })
  }
}

function poolId(cidr: Cidr): string {
  return `ts-overlay/${cidr}`
}

/** Runs a storm to its end; a failure says how to see it again. */
export async function weather(seed: number, options: StormOptions): Promise<Storm> {
  const storm = new Storm(seed, options)
  try {
    await storm.blow()
    await storm.calm()
    await storm.clear()
    return storm
  } catch (error) {
    const recent = storm.observer.log.slice(-40).join('\n')
    throw new Error(`SEED=${seed}: ${String(error)}\n${recent}`, { cause: error })
  } finally {
    storm.end()
  }
}
