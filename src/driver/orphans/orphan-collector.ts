import { attempt } from '../../base/errors.ts'
import type { KeyedQueue } from '../../base/keyed-queue.ts'
import { Every } from '../../base/timers.ts'
import type { Endpoints } from '../endpoints.ts'
import type { NetworkStore } from '../network-store.ts'
import {
  type NetworkSnapshot,
  type Orphan,
  type OrphanKind,
  type OrphanSnapshot,
  findOrphans,
  orphanId,
} from './orphan-rules.ts'
import type { DriverParts, LinkLocation } from '../ports.ts'

/** Scans that must find an orphan before it is released, at least. */
const scansPerGrace = 4
/**
 * A link in the host's namespace may wait for a container that starts slowly, because of its
 * volumes: engines up to 27 join first and mount then. It gets this many times the grace.
 */
const gracesInHostNetns = 5
/** Between two scans, in milliseconds: a scan reads the tables of all overlays. */
const minScanIntervalMs = 1000

/** For `/status`. */
export interface OrphanStatus {
  /** What looks unused now. */
  readonly waiting: readonly Orphan[]
  /** What was released since the start. */
  readonly released: Readonly<Record<OrphanKind, number>>
}

interface CollectorParts {
  readonly driver: DriverParts
  readonly store: NetworkStore
  readonly endpoints: Endpoints
  readonly queue: KeyedQueue
  /** Runs a task in the queue of all networks. */
  readonly inNetworksQueue: (task: () => Promise<boolean>) => Promise<boolean>
  /** To be called in the queue of all networks, and in that of this one. */
  readonly deleteNetwork: (networkId: string) => Promise<void>
  /** An endpoint of the network was released, in its queue. */
  readonly onEndpointReleased: (networkId: string) => void
}

/**
 * Releases orphans: what nothing uses and the engine has forgotten, once every scan for a grace
 * period has found it so. The grace makes that safe: a call under way looks like an orphan for a
 * moment, and an engine moves a link into its sandbox seconds after Join.
 */
export class OrphanCollector {
  readonly #parts: CollectorParts
  readonly #scan: Every
  /** Orphans by id, with the time of the first scan that found them. */
  #found = new Map<string, { readonly orphan: Orphan; readonly sinceMs: number }>()
  readonly #released: Record<OrphanKind, number> = {
    'endpoint-unjoined': 0,
    'endpoint-gone': 0,
    'endpoint-parked': 0,
    link: 0,
    address: 0,
    pool: 0,
    network: 0,
  }

  constructor(parts: CollectorParts) {
    this.#parts = parts
    const { clock, orphanGraceMs } = parts.driver
    const intervalMs = Math.max(minScanIntervalMs, orphanGraceMs / scansPerGrace)
    this.#scan = new Every({ clock, intervalMs, run: () => this.#run() })
  }

  start(): void {
    this.#scan.start()
  }

  async stop(): Promise<void> {
    this.#scan.stop()
    await this.#scan.idle()
  }

  status(): OrphanStatus {
    const waiting = Array.from(this.#found.values(), ({ orphan }) => orphan)
    return { waiting, released: { ...this.#released } }
  }

  async #run(): Promise<void> {
    const { clock, orphanGraceMs } = this.#parts.driver
    const found = await this.#attempt('finding orphans', async () =>
      findOrphans(await this.#snapshot()),
    )
    if (found === null) return
    const now = clock.now()
    const before = this.#found
    this.#found = new Map(
      found.map((orphan) => {
        const id = orphanId(orphan)
        return [id, { orphan, sinceMs: before.get(id)?.sinceMs ?? now }]
      }),
    )
    for (const [id, { orphan, sinceMs }] of this.#found)
      if (now - sinceMs >= graceOf(orphan, orphanGraceMs) && this.#scan.isStarted)
        await this.#collect(id, orphan)
  }

  async #collect(id: string, orphan: Orphan): Promise<void> {
    const released = await this.#attempt('releasing an orphan', () => this.#release(orphan))
    if (released === null) return
    this.#found.delete(id)
    if (!released) return
    this.#released[orphan.kind]++
    const { logger } = this.#parts.driver
    logger.warn('released what nothing uses and the engine has forgotten', { ...orphan })
  }

  /** What fails is tried again at the next scan. */
  #attempt<T>(what: string, work: () => Promise<T>): Promise<T | null> {
    return attempt(work, (message) => {
      this.#parts.driver.logger.warn(`${what}: ${message}`)
      return null
    })
  }

  /** All that orphans are recognized by. Forgets dangling pools that have been released. */
  async #snapshot(): Promise<OrphanSnapshot> {
    const { driver, store } = this.#parts
    const { pools, dataplane } = driver
    const requested = new Map(pools.requestedPools().map(({ poolKey, since }) => [poolKey, since]))
    for (const [poolKey, since] of store.danglingPools())
      if (requested.get(poolKey) !== since) await store.removeDanglingPool(poolKey)
    const networks: NetworkSnapshot[] = []
    for (const network of store.networks()) {
      // An overlay that cannot be read must not keep the others from being scanned.
      const links = await this.#attempt<ReadonlyMap<string, LinkLocation>>('finding orphans', () =>
        dataplane.linkLocations(network.overlayId),
      )
      // After the links: an endpoint that joins meanwhile must not look like a link without one.
      const endpoints = store.endpoints(network.networkId)
      networks.push({ network, endpoints, links })
    }
    return {
      networks,
      leases: pools.leases(),
      pools: pools.requestedPools(),
      danglingPools: store.danglingPools(),
    }
  }

  /**
   * Releases an orphan in its network's queue, where no call is under way, if it still is one
   * there.
   * @returns whether it was.
   */
  #release(orphan: Orphan): Promise<boolean> {
    const { queue, inNetworksQueue } = this.#parts
    const release = (): Promise<boolean> => this.#releaseInQueue(orphan)
    if (orphan.kind === 'pool') return inNetworksQueue(release)
    const { kind, networkId } = orphan
    if (kind !== 'network') return queue.run(networkId, release)
    return inNetworksQueue(() => queue.run(networkId, release))
  }

  async #releaseInQueue(orphan: Orphan): Promise<boolean> {
    const { driver, store, deleteNetwork, onEndpointReleased } = this.#parts
    const orphans = findOrphans(await this.#snapshot()).map(orphanId)
    if (!orphans.includes(orphanId(orphan))) return false
    if (orphan.kind === 'pool') {
      await driver.pools.releasePool(orphan.poolKey)
      await store.removeDanglingPool(orphan.poolKey)
    } else if (orphan.kind === 'network') await deleteNetwork(orphan.networkId)
    else if (orphan.kind === 'address') await driver.pools.freeLease(orphan.poolKey, orphan.ip)
    else {
      await this.#releaseEndpoint(orphan)
      onEndpointReleased(orphan.networkId)
    }
    return true
  }

  /** With its addresses: the engine would have released them next. */
  async #releaseEndpoint({
    networkId,
    endpointId,
  }: {
    readonly networkId: string
    readonly endpointId: string
  }): Promise<void> {
    const { driver, store, endpoints } = this.#parts
    const network = store.network(networkId)
    const endpoint = store.endpoint(networkId, endpointId)
    if (network === undefined) return
    if (endpoint === undefined)
      return driver.dataplane.detachEndpoint(network.overlayId, endpointId)
    await endpoints.delete(networkId, endpointId)
    for (const { ip } of endpoint.addresses)
      for (const poolKey of network.poolKeys) await driver.pools.freeLease(poolKey, ip)
  }
}

function graceOf({ kind }: Orphan, graceMs: number): number {
  return kind === 'endpoint-parked' ? gracesInHostNetns * graceMs : graceMs
}
