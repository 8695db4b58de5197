import { OverlayError } from '../../src/base/errors.ts'
import { below, pick } from '../../src/base/random.ts'
import type { Cidr } from '../../src/net/cidr.ts'
import { compareBooks } from './ipam-books.ts'
import type { SimulatedHost } from './ipam-host.ts'
import { chooseHappening, type Happening } from './ipam-happenings.ts'
import { Observer } from './ipam-observer.ts'
import { operate, seatsOfNobody, seatsShown } from './ipam-operator.ts'
import { poolId, pools, Requests } from './ipam-requests.ts'
import { IpamWorld } from './ipam-world.ts'

/** How long a storm blows, and what may happen in it. */
export interface StormOptions {
  readonly hosts: number
  readonly steps: number
  /** Whether disks may be lost, hosts join and leave, and dead ones be forgotten. */
  readonly comingAndGoing: boolean
  /** Whether hosts see each other's records; true if left out. */
  readonly records?: boolean
  /** Whether disks may be full for a while, and refuse to write; false if left out. */
  readonly fullDisks?: boolean
  /** How long a start takes to reach the other members, ms; 0 if left out. */
  readonly joinMs?: number
}

/** So long that blocks which lie idle are given back, ms. */
const idleMs = 70_000
/** After how long dead a voter loses its seat, ms: in a third of the storms nobody does, in the others there are some hosts more to lose. */
const vacateAfterMs: readonly number[] = [600_000, 100, 400]
const moreHosts = 2

/** An operator who is told that others are gone as well tries again, so often. */
const operations = 4

/**
 * Random allocation on several hosts while the network and the hosts fail, all from one seed; then calm, and the books must
 * agree. Throws with what happened when they do not, or when an address was given twice.
 */
export class Storm {
  readonly world: IpamWorld
  readonly observer: Observer
  readonly requests: Requests
  readonly #options: StormOptions
  /** Hosts that are being forgotten: nobody starts them before that is done. */
  readonly #forgetting = new Map<SimulatedHost, Promise<void>>()
  /** Forgotten hosts whose containers are gone and whose disks are not. */
  readonly #emptied = new Set<SimulatedHost>()
  #hostsAdded: number
  #absent: ReadonlySet<string> = new Set()
  seatsVacated = 0

  constructor(seed: number, options: StormOptions) {
    this.world = new IpamWorld(seed)
    const kind = seed % vacateAfterMs.length
    this.world.vacateAfterMs = vacateAfterMs[kind]!
    this.#options = kind === 0 ? options : { ...options, hosts: options.hosts + moreHosts }
    this.#hostsAdded = this.#options.hosts
    this.observer = new Observer(this.world)
    this.requests = new Requests(this.world, this.observer)
  }

  async blow(): Promise<void> {
    const { steps, hosts, records = true, joinMs = 0 } = this.#options
    this.world.records = records
    this.world.joinMs = joinMs
    await this.world.grow(hosts)
    for (const host of this.world.hosts.values()) await this.requests.attach(host)
    for (let step = 0; step < steps; step++) {
      this.requests.check()
      await this.#happen(chooseHappening(this.world.random, this.#options))
      await this.world.clock.advance(below(this.world.random, 200))
      this.#countAbsent()
    }
    this.requests.check()
  }

  /** The network heals and every host that was not removed comes back; then everything must agree. */
  async calm(): Promise<void> {
    const { world } = this
    this.#clearUp()
    for (const { disk } of world.hosts.values()) disk.full = false
    await world.run(Promise.all(this.#forgetting.values()))
    for (const host of world.hosts.values()) if (!host.up) await this.#restart(host)
    await world.run(Promise.all(this.requests.open).then(() => {}))
    const seated = (): boolean =>
      [...world.hosts.values()].every(({ ipam }) => ipam.status().voter.seated)
    const settled = (): boolean => seated() && seatsOfNobody(world).length === 0
    // One that left may still be given the seat that it had asked for.
    await world.clock.advance(10_000)
    for (let tries = 0; tries < operations; tries++) {
      await world.until(settled, 30_000).catch(() => operate(world, this.observer))
    }
    await world.until(seated, 30_000).catch(() => {
      throw new Error(`not all have a seat: ${seatsShown(world)}`)
    })
    await world.clock.advance(30_000)
    this.requests.check()
    compareBooks(this.world, this.observer)
    for (const host of world.hosts.values()) await this.requests.take(host, pools[1]!)
    await world.run(Promise.all(this.requests.open).then(() => {}))
    this.requests.check()
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

  /** Each host that loses its seat, as those that run know of it. */
  #countAbsent(): void {
    const absent = new Set<string>()
    for (const { up, life } of this.world.hosts.values()) {
      const roster = up ? life!.ipam.status().roster : null
      for (const { name } of roster?.absent ?? []) absent.add(name)
    }
    for (const name of absent) if (!this.#absent.has(name)) this.seatsVacated++
    this.#absent = absent
  }

  async #happen(happening: Happening): Promise<void> {
    const { world, observer } = this
    const host = world.anyUp()
    const down = pick(
      world.random,
      [...world.hosts.values()].filter((host) => !host.up && !this.#forgetting.has(host)),
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
      case 'forget':
        if (host !== undefined && down !== undefined) this.#forget(host, down)
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

  #clearUp(): void {
    this.world.heal()
    Object.assign(this.world.weather, { loss: 0, duplication: 0, jitterMs: 0.5 })
  }

  /** Without most of the others, one that was forgotten a moment ago goes on with what it had: it cannot know. */
  #mayReturn(host: SimulatedHost): boolean {
    const seats = [...this.world.hosts.values()]
      .filter(({ up }) => up)
      .map(({ ipam }) => ipam.status())
      .filter(({ voter }) => voter.seated)
    const voters = Math.max(1, ...seats.map(({ roster }) => roster!.voters.length))
    return !this.#emptied.has(host) || 2 * seats.length > voters
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
    const held = new Set(host.ipam.leases().map(({ poolKey, ip }) => `${poolKey} ${ip}`))
    for (const [poolKey, ip] of this.observer.heldBy(host.name)) {
      if (!held.has(`${poolKey} ${ip}`)) throw new Error(`${host.name} forgot ${poolKey} ${ip}`)
    }
    const attached = host.ipam.heldPools().filter(({ networkId }) => networkId !== null)
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
    const stillVoter = ipam.status().voter.seated
    if (!stillVoter) this.world.hosts.delete(host.name)
    else this.observer.note(`${host.name} could not give up its seat`)
  }

  /** A dead host is gone for good, says an operator or the time that it was away; its containers are gone too, and its disk perhaps. */
  #forget(host: SimulatedHost, gone: SimulatedHost): void {
    this.observer.note(`${host.name} is told to forget ${gone.name}`)
    this.observer.loses(gone.name)
    if (this.world.chance(0.5)) gone.crash(true)
    const byHand = this.world.chance(0.5)
    const forgotten = byHand ? host.ipam.forget(gone.name) : host.ipam.forgetAway(gone.name)
    const { life } = host
    const over = Promise.race([forgotten, this.requests.timeOut(life!)])
      .then(() => {
        if (life?.alive !== true) throw new Error('nobody knows what came of it')
        this.#emptied.add(gone)
      })
      // It may still come about, so nobody starts it as it was.
      .catch(() => gone.crash(true))
      .finally(() => this.#forgetting.delete(gone))
    this.#forgetting.set(gone, over)
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
