import { OverlayError } from '../../src/base/errors.ts'
import { below, pick } from '../../src/base/random.ts'
import type { Cidr } from '../../src/net/cidr.ts'
import { compareHoldings } from './ipam-books.ts'
import type { SimulatedDisk, SimulatedHost } from './ipam-host.ts'
import { chooseHappening, type Happening } from './ipam-happenings.ts'
import { Observer } from './ipam-observer.ts'
import { poolId, pools, Requests } from './ipam-requests.ts'
import { IpamWorld } from './ipam-world.ts'

/** How long a storm blows, and what may happen in it. */
export interface StormOptions {
  readonly hosts: number
  readonly steps: number
  /** Whether disks may be lost, hosts join and leave, and dead ones be forgotten. */
  readonly comingAndGoing: boolean
  /** Whether a disk may be put back from an old copy; false if left out. */
  readonly oldDisks?: boolean
  /** The part of commands that are applied after their client gave up; 0 if left out. */
  readonly late?: number
  /** Whether disks may be full for a while, and refuse to write; false if left out. */
  readonly fullDisks?: boolean
  /** How long a start takes to reach the other members, ms; 0 if left out. */
  readonly joinMs?: number
}

/** So long that blocks which lie idle are given back, ms. */
const idleMs = 70_000
/**
 * Random allocation on several hosts while the network and the hosts fail, all from one seed; then calm, and the books must
 * agree. Throws with what happened when they do not, or when an address was given twice.
 */
export class Storm {
  readonly world: IpamWorld
  readonly observer: Observer
  readonly requests: Requests
  readonly #options: StormOptions
  /** Hosts that are being evicted: nobody starts them before that is done. */
  readonly #evicting = new Map<SimulatedHost, Promise<void>>()
  readonly #copies = new Map<SimulatedHost, SimulatedDisk>()
  /** Evicted hosts whose containers are gone and whose disks are not. */
  readonly #emptied = new Set<SimulatedHost>()
  /** Hosts that left for good. */
  readonly #gone = new Set<string>()
  #hostsAdded: number

  constructor(seed: number, options: StormOptions) {
    this.world = new IpamWorld(seed)
    this.#options = options
    this.#hostsAdded = this.#options.hosts
    this.observer = new Observer(this.world)
    this.requests = new Requests(this.world, this.observer)
  }

  async blow(): Promise<void> {
    const { steps, hosts, joinMs = 0, late = 0 } = this.#options
    this.world.joinMs = joinMs
    this.world.voters.late = late
    await this.world.grow(hosts)
    for (const host of this.world.hosts.values()) await this.requests.attach(host)
    for (let step = 0; step < steps; step++) {
      this.requests.check()
      await this.#happen(chooseHappening(this.world.random, this.#options))
      await this.world.clock.advance(below(this.world.random, 200))
    }
    this.requests.check()
  }

  /** The network heals and every host that was not removed comes back; then everything must agree. */
  async calm(): Promise<void> {
    const { world } = this
    this.#clearUp()
    for (const { disk } of world.hosts.values()) disk.full = false
    await world.run(Promise.all(this.#evicting.values()))
    for (const host of world.hosts.values()) if (!host.up) await this.#restart(host)
    await world.run(Promise.all(this.requests.open).then(() => {}))
    world.voters.late = 0
    const registered = (): boolean =>
      [...world.hosts.values()].every(({ ipam }) => ipam.status().member.registered)
    if (world.voters.leader() === undefined) world.voters.recover()
    await world.until(registered, 30_000)
    await world.clock.advance(150_000)
    this.requests.check()
    await compareHoldings(this.world, this.observer)
    for (const host of world.hosts.values()) await this.requests.take(host, pools[1]!)
    await world.run(Promise.all(this.requests.open).then(() => {}))
    this.requests.check()
  }

  /** Every host lets go of every pool; nothing may be left of any. */
  async clear(): Promise<void> {
    const { world } = this
    for (const host of world.hosts.values()) {
      for (const cidr of pools) await world.run(host.ipam.releasePool(poolId(cidr)))
    }
    const [host] = world.hosts.values()
    const left = new Set<string>()
    for (let tries = 0; tries < 30; tries++) {
      left.clear()
      const evicted = [...this.#gone].filter((name) => !world.hosts.has(name))
      if (evicted.length > 0 && host !== undefined) await world.run(this.#evictGone(host, evicted))
      for (const cidr of pools) {
        const usage = await world.run(host!.life!.agreement.usage(cidr)(1000))
        for (const { member, blocks } of usage) left.add(`${member} has ${blocks} of ${cidr}`)
      }
      if (left.size === 0) return
      await world.clock.advance(10_000)
    }
    throw new Error(`blocks are left over: ${[...left].join(', ')}`)
  }

  end(): void {
    this.world.end()
  }

  async #happen(happening: Happening): Promise<void> {
    const { world, observer } = this
    const host = world.anyUp()
    const down = pick(
      world.random,
      [...world.hosts.values()].filter((host) => !host.up && !this.#evicting.has(host)),
    )
    const names = [...world.hosts.keys()]
    switch (happening) {
      case 'take':
        if (host !== undefined) await this.requests.take(host, this.#pool())
        return
      case 'takeThis':
        if (host !== undefined) await this.requests.takeThis(host)
        return
      case 'free':
        if (host !== undefined) this.requests.free(host)
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
        if (down !== undefined && this.#mayReturn(down)) await this.#restart(down)
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
      case 'evict':
        if (host !== undefined && down !== undefined) this.#evict(host, down)
        return
      case 'cutOneWay': {
        const [from, to] = [pick(world.random, names)!, pick(world.random, names)!]
        observer.note(`cut: ${from} is not heard by ${to}`)
        world.cutOneWay(from, to)
        return
      }
      case 'skew':
        world.voters.skewMs = below(world.random, 7_200_000) - 3_600_000
        if (host !== undefined) host.skewMs = below(world.random, 7_200_000) - 3_600_000
        return
      case 'copyDisk':
        if (host !== undefined) this.#copies.set(host, host.disk.copy())
        return
      case 'oldDisk':
        if (host !== undefined) this.#putBack(host)
        return
      case 'fillDisk':
      case 'makeRoom':
        return this.#fill(happening === 'fillDisk')
      case 'remove':
        return this.#remove()
      case 'idle':
        return world.clock.advance(idleMs)
    }
  }

  /** A disk that had room has none any more, or the other way round; that of a host that is down, too. */
  #fill(full: boolean): void {
    const hosts = [...this.world.hosts.values()].filter(({ disk }) => disk.full !== full)
    const host = pick(this.world.random, hosts)
    if (host === undefined) return
    this.observer.note(`the disk of ${host.name} ${full ? 'is full' : 'has room again'}`)
    host.disk.full = full
  }

  /** Any of the pools; where disks fill up mostly the small one, so that nothing given back lies there for long. */
  #pool(): Cidr {
    const { random } = this.world
    const small = this.#options.fullDisks === true && this.world.chance(0.6)
    return small ? pools[0]! : pick(random, pools)!
  }

  /** A network is removed, where the disk is full if there is such a host, and created again at once or at the next start. */
  async #remove(): Promise<void> {
    const up = [...this.world.hosts.values()].filter((host) => host.up)
    const full = up.filter(({ disk }) => disk.full)
    const host = pick(this.world.random, full.length > 0 ? full : up)
    if (host === undefined) return
    const cidr = this.#pool()
    await this.requests.remove(host, cidr)
    if (this.world.chance(0.3)) await this.requests.attach(host, [cidr])
  }

  /** The host is put back from an old copy of its disk; its containers are gone. */
  #putBack(host: SimulatedHost): void {
    const copy = this.#copies.get(host)
    if (copy === undefined) return
    this.observer.note(`${host.name} is put back from an old disk`)
    host.crash(false)
    host.disk = copy.copy()
    this.observer.loses(host.name)
    this.#emptied.add(host)
  }

  #clearUp(): void {
    this.world.heal()
    Object.assign(this.world.weather, { loss: 0, duplication: 0, jitterMs: 0.5 })
  }

  /** Without the voters, one that was evicted a moment ago goes on with what it had: it cannot know. */
  #mayReturn(host: SimulatedHost): boolean {
    return !this.#emptied.has(host) || this.world.voters.leader() !== undefined
  }

  async #restart(host: SimulatedHost): Promise<void> {
    this.observer.note(`${host.name} starts`)
    if (this.#emptied.has(host)) this.#clearUp()
    try {
      await this.world.run(host.start())
    } catch (error) {
      // Only one that never wrote down who it is cannot start.
      if (!(error instanceof OverlayError && error.code === 'STORE')) throw error
      this.observer.note(`${host.name} does not start: ${error.message}`)
      return host.crash(false)
    }
    const held = new Set(host.ipam.bindings.leases().map(({ poolKey, ip }) => `${poolKey} ${ip}`))
    for (const [poolKey, ip] of this.observer.heldBy(host.name)) {
      if (!held.has(`${poolKey} ${ip}`)) throw new Error(`${host.name} forgot ${poolKey} ${ip}`)
    }
    const attached = host.ipam.bindings.heldPools().filter(({ networkId }) => networkId !== null)
    if (attached.length < pools.length) await this.requests.attach(host)
    if (this.#emptied.delete(host)) this.requests.freeUnused(host)
  }

  async #join(): Promise<void> {
    const seed = this.world.anyUp()
    if (seed === undefined || this.world.hosts.size > this.#options.hosts + 3) return
    const name = `h${++this.#hostsAdded}`
    this.observer.note(`${name} joins ${seed.name}`)
    const host = await this.world.add(name, [seed.name])
    await this.requests.attach(host)
  }

  /** A host is drained and taken out of the cluster for good. */
  async #leave(host: SimulatedHost): Promise<void> {
    if (this.world.hosts.size <= 2) return
    this.observer.note(`${host.name} leaves`)
    const { disk, ipam } = host
    disk.full = false
    this.observer.loses(host.name)
    for (const cidr of pools) await this.world.run(ipam.releasePool(poolId(cidr)))
    // What was answered while the pools were being released is released with them.
    this.observer.loses(host.name)
    await this.world.run(ipam.left())
    this.world.depart(host.name)
    this.world.hosts.delete(host.name)
    this.#gone.add(host.name)
  }

  /** A dead host is gone for good, says an operator; its containers are gone too, and its disk perhaps. */
  #evict(host: SimulatedHost, gone: SimulatedHost): void {
    this.observer.note(`${host.name} is told to evict ${gone.name}`)
    this.observer.loses(gone.name)
    if (this.world.chance(0.5)) gone.crash(true)
    const { life } = host
    const evicted = host.ipam.evict([gone.name], { force: true })
    const over = Promise.race([evicted, this.requests.timeOut(life!)])
      .then(() => {
        if (life?.alive !== true) throw new Error('nobody knows what came of it')
        this.#emptied.add(gone)
      })
      // It may still come about, so nobody starts it as it was.
      .catch(() => gone.crash(true))
      .finally(() => this.#evicting.delete(gone))
    this.#evicting.set(gone, over)
  }

  /** Hosts that left while nobody could be told. */
  async #evictGone(host: SimulatedHost, names: readonly string[]): Promise<void> {
    for (const name of names) await host.ipam.evict([name], { force: true }).catch(() => {})
  }
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
