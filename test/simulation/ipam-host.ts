import type { Clock, Timer } from '../../src/base/clock.ts'
import { failure } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import type { AgreedClient } from '../../src/consensus/state/agreed-client.ts'
import { type Random, seededRandom } from '../../src/base/random.ts'
import { Ipam } from '../../src/ipam/ipam.ts'
import type {
  IpamCluster,
  IpamSettings,
  IpamStore,
  Json,
  StoreChange,
} from '../../src/ipam/ports.ts'
import type { Lease } from '../../src/ipam/leases/lease-table.ts'
import { type Cidr, parseCidr } from '../../src/net/cidr.ts'
import type { Ip } from '../../src/net/ip.ts'
import { geometryOf, offsetOf } from '../../src/net/pool-geometry.ts'
import { parsePoolKey } from '../../src/net/pool-key.ts'
import type { IpamWorld } from './ipam-world.ts'

/** What a disk needs for a write in the simulation, ms. */
const fsyncMs = 0.5

/** A disk that loses what was not written yet when its host crashes, and refuses to write while it is full. */
export class SimulatedDisk {
  readonly tables = new Map<string, Map<string, string>>()
  full = false

  copy(): SimulatedDisk {
    const copy = new SimulatedDisk()
    for (const [table, rows] of this.tables) copy.tables.set(table, new Map(rows))
    return copy
  }

  apply(changes: readonly StoreChange[]): void {
    for (const { table, key, value } of changes) {
      const rows = this.tables.get(table) ?? new Map<string, string>()
      this.tables.set(table, rows)
      if (value === null) rows.delete(key)
      else rows.set(key, JSON.stringify(value))
    }
  }
}

/** One life of the plugin on a host. After its end nothing it does has an effect. */
export interface Life {
  readonly ipam: Ipam
  readonly agreement: AgreedClient
  /** Keys of the swarm's pools that it publishes. */
  readonly published: Set<string>
  alive: boolean
  handler: ((from: string, message: Json) => Promise<Json>) | null
}

/** A host of the simulation: a disk, members it has heard of, what it knows of their records. */
export class SimulatedHost {
  readonly name: string
  /** As JOIN at the first start; later starts find all hosts there are. */
  readonly seeds: readonly string[]
  readonly world: IpamWorld
  disk = new SimulatedDisk()
  life: Life | null = null
  /** Prefixes that the host has routes to. */
  routes: readonly Cidr[] = []
  forgetAfterMs = 72 * 3_600_000
  /** How much its wall clock is off, ms. */
  skewMs = 0
  /** Members heard of in this life, ourselves included. */
  readonly known = new Set<string>()
  readonly #random: Random

  constructor(name: string, seeds: readonly string[], world: IpamWorld, seed: number) {
    this.name = name
    this.seeds = seeds
    this.world = world
    this.#random = seededRandom(seed)
  }

  get up(): boolean {
    return this.life !== null
  }

  /** The addresses that its containers have, also while the plugin is down. */
  hasLease(poolKey: string, ip: Ip): boolean {
    const offset = offsetOf(geometryOf(parsePoolKey(poolKey)!.cidr), ip)
    const row = this.disk.tables.get('ipam.leases')?.get(`${offset} ${poolKey}`)
    return row !== undefined && (JSON.parse(row) as Lease).kind === 'container'
  }

  get ipam(): Ipam {
    if (this.life === null) throw new Error(`${this.name} is down`)
    return this.life.ipam
  }

  /** Starts the plugin from what is on the disk. */
  async start(settings: Partial<IpamSettings> = {}): Promise<void> {
    this.known.clear()
    this.known.add(this.name)
    const published = new Set<string>()
    const life: Omit<Life, 'ipam' | 'agreement'> & { ipam?: Ipam; agreement?: AgreedClient } = {
      published,
      alive: true,
      handler: null,
    }
    const agreement = (life.agreement = this.world.voters.clientOf(this, life as Life))
    life.ipam = new Ipam({
      settings: {
        pools: [{ cidr: parseCidr('10.128.0.0/9')!, length: 24 }],
        scope: 'local',
        forgetAfterMs: this.forgetAfterMs,
        ...settings,
      },
      store: this.#store(life as Life),
      cluster: this.#cluster(life as Life),
      agreement,
      consensus: {
        voters: () => this.world.voters.names,
        isLeader: () => this.world.voters.leader() === this.name,
        onClusterChange: () => {},
      },
      clock: this.#clock(life as Life),
      random: this.#random,
      hostRoutes: () => Promise.resolve(this.routes),
      logger: this.world.logger?.child(this.name) ?? silentLogger,
    })
    this.life = life as Life
    this.#join(life as Life)
    await life.ipam.start()
  }

  /** Nobody is known before the first member was reached. */
  #join(life: Life): void {
    const { clock, hosts, joinMs } = this.world
    const join = (): void => {
      for (const name of hosts.keys()) this.known.add(name)
    }
    if (joinMs === 0) return join()
    clock.setTimeout(() => {
      if (!life.alive) return
      join()
    }, joinMs)
  }

  /** Ends the plugin at once. With `diskLost` the next start is the first. */
  crash(diskLost: boolean): void {
    if (this.life !== null) this.life.alive = false
    this.life = null
    if (diskLost) this.disk = new SimulatedDisk()
  }

  #clock(life: Life): Clock {
    const { clock } = this.world
    return {
      now: () => clock.now(),
      wall: () => clock.wall() + this.skewMs,
      setTimeout: (fn, ms): Timer => clock.setTimeout(() => life.alive && fn(), ms),
      clearTimeout: (timer) => clock.clearTimeout(timer),
    }
  }

  #store(life: Life): IpamStore {
    const { disk, world } = this
    const rows = (table: string): Map<string, string> => disk.tables.get(table) ?? new Map()
    return {
      get: <T>(table: string, key: string) => {
        const text = rows(table).get(key)
        return text === undefined ? undefined : (JSON.parse(text) as T)
      },
      entries: <T>(table: string) =>
        Array.from(rows(table), ([key, text]): [string, T] => [key, JSON.parse(text) as T]),
      write: (changes) => {
        const copy = structuredClone(changes)
        return new Promise((resolve, reject) => {
          world.clock.setTimeout(() => {
            // A write under way when the host crashes may or may not have reached the disk.
            if (!life.alive && world.chance(0.5)) return
            if (!disk.full) disk.apply(copy)
            if (!life.alive) return
            if (disk.full) reject(failure('STORE', 'no space left on device'))
            else resolve()
          }, fsyncMs)
        })
      },
    }
  }

  #cluster(life: Life): IpamCluster {
    const { world, name } = this
    return {
      self: name,
      members: () => world.membersSeenBy(this),
      ask: (member, message, timeoutMs) => world.ask(life, name, member, message, timeoutMs),
      onAsk: (handler) => (life.handler = handler),
      publishSwarmPool: (poolKey) => life.published.add(poolKey),
      withdrawSwarmPool: (poolKey) => life.published.delete(poolKey),
      swarmPools: () =>
        [...world.hosts.values()].flatMap((host) =>
          host.name === name || host.life === null ? [] : [...host.life.published],
        ),
      claimants: (poolKey, ip) => world.claimants(this, poolKey, ip),
    }
  }
}
