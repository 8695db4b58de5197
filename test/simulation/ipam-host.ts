import type { Clock, Timer } from '../../src/base/clock.ts'
import { failure } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/logger.ts'
import { type Random, seededRandom } from '../../src/base/random.ts'
import { Ipam } from '../../src/ipam/ipam.ts'
import type {
  BlockRecord,
  IpamCluster,
  IpamSettings,
  IpamStore,
  Json,
  PoolRecord,
  StoreChange,
} from '../../src/ipam/ports.ts'
import { type Cidr, parseCidr } from '../../src/net/cidr.ts'
import type { IpamWorld } from './ipam-world.ts'

/** What a disk needs for a write in the simulation, ms. */
const fsyncMs = 0.5

/** A disk that loses what was not written yet when its host crashes, and refuses to write while it is full. */
export class SimulatedDisk {
  readonly tables = new Map<string, Map<string, string>>()
  full = false

  apply(changes: readonly StoreChange[]): void {
    for (const { table, key, value } of changes) {
      const rows = this.tables.get(table) ?? new Map<string, string>()
      this.tables.set(table, rows)
      if (value === null) rows.delete(key)
      else rows.set(key, JSON.stringify(value))
    }
  }
}

/** What a member publishes about itself. */
export interface Published {
  readonly blocks: Map<string, BlockRecord>
  readonly pools: Map<string, PoolRecord>
}

/** What another member knows of that. */
interface Copy {
  readonly blocks: BlockRecord[]
  readonly pools: PoolRecord[]
  /** On the world's clock, ms. */
  readonly at: number
}

/** One life of the plugin on a host. After its end nothing it does has an effect. */
export interface Life {
  readonly ipam: Ipam
  readonly published: Published
  alive: boolean
  handler: ((from: string, message: Json) => Promise<Json>) | null
  listener: () => void
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
  synced: boolean
  /** Members heard of in this life, ourselves included. */
  readonly known = new Set<string>()
  /** By member its records as they were when we last heard of it, and when that was. */
  readonly copies = new Map<string, Copy>()
  readonly #random: Random
  #starts = 0

  constructor(name: string, seeds: readonly string[], world: IpamWorld, seed: number) {
    this.name = name
    this.seeds = seeds
    this.world = world
    this.synced = seeds.length === 0
    this.#random = seededRandom(seed)
  }

  get up(): boolean {
    return this.life !== null
  }

  get ipam(): Ipam {
    if (this.life === null) throw new Error(`${this.name} is down`)
    return this.life.ipam
  }

  /** Starts the plugin from what is on the disk. */
  async start(settings: Partial<IpamSettings> = {}): Promise<void> {
    this.known.clear()
    this.known.add(this.name)
    const founds = this.seeds.length === 0 && this.#starts++ === 0
    this.copies.clear()
    this.synced = founds
    const published: Published = { blocks: new Map(), pools: new Map() }
    const life: Omit<Life, 'ipam'> & { ipam?: Ipam } = {
      published,
      alive: true,
      handler: null,
      listener: () => {},
    }
    life.ipam = new Ipam({
      settings: {
        pools: [{ cidr: parseCidr('10.128.0.0/9')!, length: 24 }],
        scope: 'local',
        forgetAfterMs: this.forgetAfterMs,
        vacateAfterMs: this.world.vacateAfterMs,
        ...settings,
      },
      store: this.#store(life as Life),
      cluster: this.#cluster(life as Life),
      clock: this.#clock(life as Life),
      random: this.#random,
      hostRoutes: () => Promise.resolve(this.routes),
      logger: this.world.logger?.child(this.name) ?? silentLogger,
    })
    this.life = life as Life
    if (!founds) this.#join(life as Life)
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
      life.listener()
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
      wall: () => clock.wall(),
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
      synced: () => this.synced,
      voters: () => world.membersSeenBy(this),
      ask: (member, message, timeoutMs) => world.ask(life, name, member, message, timeoutMs),
      onAsk: (handler) => (life.handler = handler),
      blocks: (poolKey) =>
        [...life.published.blocks.values(), ...this.#copied(({ blocks }) => blocks)].filter(
          (record) => poolKey === undefined || record.poolKey === poolKey,
        ),
      publishBlock: (block) =>
        life.published.blocks.set(`${block.index} ${block.poolKey}`, {
          ...block,
          owner: name,
          alive: true,
        }),
      withdrawBlock: ({ poolKey, index }) => life.published.blocks.delete(`${index} ${poolKey}`),
      pools: () => [...life.published.pools.values(), ...this.#copied(({ pools }) => pools)],
      publishPool: (pool) =>
        life.published.pools.set(pool.poolKey, { ...pool, member: name, alive: true }),
      withdrawPool: (poolKey) => life.published.pools.delete(poolKey),
      holderOf: (poolKey, ip) => world.holderOf(name, poolKey, ip),
      onChange: (listener) => (life.listener = listener),
    }
  }

  *#copied<T extends { alive: boolean }>(of: (copy: Copy) => T[]): Iterable<T> {
    for (const [member, copy] of this.copies) {
      const alive = this.world.reachable(this.name, member)
      for (const record of of(copy)) yield { ...record, alive }
    }
  }
}
