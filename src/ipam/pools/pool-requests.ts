import type { Clock } from '../../base/clock.ts'
import { type OverlayError, refusal } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { type Cidr, cidrBits, cidrIncludes } from '../../net/cidr.ts'
import { isOverlayId, maxOverlayIdLength, type PoolName, poolKeyOf } from '../../net/pool-key.ts'
import { noPoolLeft, refusedByState } from '../errors.ts'
import type { Holdings } from '../holdings.ts'
import { addressSpaces } from '../pool-id.ts'
import type { IpamCluster, IpamSettings, PoolView, Refused } from '../ports.ts'
import { parsePoolKey } from '../../net/pool-key.ts'
import { type LocalPool, nothingAgreed, type PoolRow } from './local-pool.ts'

/** What `docker network create` asks for, decoded. */
export interface PoolWish {
  readonly space: string
  readonly pool: Cidr | null
  readonly subPool: Cidr | null
  readonly options: Readonly<Record<string, string>>
  readonly ipv6: boolean
}

/**
 * A pool that was requested but belongs to no network: for this long its CreateNetwork may still
 * come, ms.
 */
const requestedGraceMs = 30_000
/**
 * The engine asks again and again while the answer overlaps something of its host, and holds all it
 * got. After so many pools without a network it is told that there are no more.
 */
const maxUnbound = 64
/** Host routes beyond these are not kept clear of. */
const maxAvoided = 1024

const knownOptions = ['overlay']

interface RequestParts {
  readonly holdings: Holdings
  readonly cluster: IpamCluster
  readonly settings: IpamSettings
  readonly clock: Clock
  readonly random: Random
  readonly hostRoutes: () => Promise<readonly Cidr[]>
}

/** Pools for the engine: the ones asked for, and ones of the cluster's choice. */
export class PoolRequests {
  readonly #parts: RequestParts
  /** Keys that a request is busy with. */
  readonly #requested = new Set<string>()

  constructor(parts: RequestParts) {
    this.#parts = parts
  }

  /** Holds the pool of that prefix for the engine, or refuses. */
  async take(wish: PoolWish, cidr: Cidr, deadline: number): Promise<LocalPool> {
    const { holdings, cluster } = this.#parts
    const name = this.#nameOf(wish, cidr)
    const key = poolKeyOf(name)
    refuseSubPool(cidr, wish.subPool)
    const held = holdings.pools.get(key)
    if (held !== undefined && name.kind !== 'shared') {
      await holdings.writer.durable()
      return held
    }
    this.#refuseHeld(key, held)
    this.#requested.add(key)
    try {
      const row = this.#newRow(wish, false)
      if (name.kind !== 'shared') {
        const pool = await this.#place(name, row, null)
        if (name.kind === 'books') cluster.publishSwarmPool(key)
        return pool
      }
      return await this.#hold(name, row, deadline)
    } finally {
      this.#requested.delete(key)
    }
  }

  /** Holds a pool that overlaps nothing of the cluster and no route of this host. */
  async choose(wish: PoolWish, deadline: number): Promise<LocalPool> {
    const { cluster, holdings, hostRoutes, random, settings } = this.#parts
    const overlay = overlayOption(wish.options)
    const kind = wish.space === addressSpaces.global ? 'books' : 'shared'
    const isUnbound = ({ row }: LocalPool): boolean => row!.auto && row!.networkId === null
    const unbound = holdings.pools.all().filter((pool) => pool.held && isUnbound(pool))
    const bits = wish.ipv6 ? 128 : 32
    const sources = settings.pools.filter(({ cidr }) => cidrBits(cidr) === bits)
    if (unbound.length >= maxUnbound || (sources.length === 0 && !wish.ipv6)) {
      throw noPoolLeft(wish.ipv6)
    }
    const avoid = this.#localPrefixes()
    for (const cidr of await hostRoutes()) if (!avoid.includes(cidr)) avoid.push(cidr)
    avoid.length = Math.min(avoid.length, maxAvoided)
    const start = random.uint32()
    const auto = { kind, overlay, ipv6: wish.ipv6, sources, avoid, start } as const
    let chosen: LocalPool | null = null
    const outcome = await holdings.hold(
      'a new pool',
      deadline,
      (agreement, timeoutMs) => agreement.choosePool(auto, timeoutMs),
      async (view) => {
        chosen = await this.#place(parsePoolKey(view.pool)!, this.#newRow(wish, true), view)
      },
    )
    if ('refused' in outcome || chosen === null) throw noPoolLeft(wish.ipv6)
    if (kind === 'books') cluster.publishSwarmPool((chosen as LocalPool).key)
    return chosen
  }

  /**
   * Asks again for a pool that the cluster does not know as ours. The refusal's sentence, or null.
   */
  async confirm(pool: LocalPool, deadline: number): Promise<string | null> {
    const { holdings } = this.#parts
    const outcome = await holdings.hold(
      `pool ${pool.key}`,
      deadline,
      (agreement, timeoutMs) => agreement.holdPool(pool.key, timeoutMs),
      (view) => holdings.adopt(view),
    )
    return 'refused' in outcome ? refusedPool(pool.name, outcome.refused).message : null
  }

  async #hold(name: PoolName, row: PoolRow, deadline: number): Promise<LocalPool> {
    const key = poolKeyOf(name)
    let placed: LocalPool | null = null
    const outcome = await this.#parts.holdings.hold(
      `pool ${key}`,
      deadline,
      (agreement, timeoutMs) => agreement.holdPool(key, timeoutMs),
      async (view) => {
        placed = await this.#place(name, row, view)
      },
    )
    if ('refused' in outcome || placed === null) {
      throw refusedPool(name, 'refused' in outcome ? outcome.refused : { code: 'EVICTED' })
    }
    return placed
  }

  /** Makes the pool ours to hand out from; a write that is refused reverts it. */
  async #place(name: PoolName, row: PoolRow, view: PoolView | null): Promise<LocalPool> {
    const { clock, holdings } = this.#parts
    const pool = holdings.pools.place(name)
    const before = pool.row
    const changes = [pool.set({ ...row, agreed: before?.agreed ?? nothingAgreed })]
    const placed = pool.row
    if (view !== null) changes.push(...pool.adopt(view, clock.wall()).changes)
    await holdings.writer.write(changes, () => {
      if (pool.row === null || pool.row.since !== placed!.since) return []
      if (before !== null) return [pool.set(before)]
      const blocks = Array.from(pool.blocks.keys(), (index) => pool.giveUp(index))
      holdings.forget(pool)
      return [...blocks, pool.set(null)]
    })
    return pool
  }

  #newRow({ subPool }: PoolWish, auto: boolean): PoolRow {
    const since = this.#parts.clock.wall()
    return {
      since,
      auto,
      reserved: [],
      subPool,
      networkId: null,
      gateway: null,
      agreed: nothingAgreed,
    }
  }

  /** The pool that an explicit prefix means in an address space. */
  #nameOf(wish: PoolWish, cidr: Cidr): PoolName {
    const { cluster, holdings, settings } = this.#parts
    const overlay = overlayOption(wish.options)
    const books: PoolName = { kind: 'books', cidr, overlay }
    if (wish.space === addressSpaces.global) return books
    if (wish.space !== addressSpaces.local) {
      throw refusal(
        'BAD_REQUEST',
        `address space ${wish.space} is none of ours: ${addressSpaces.local}, ${addressSpaces.global}`,
      )
    }
    const key = poolKeyOf(books)
    // A manager allocates and, for its own tasks, is told like any other member of the swarm.
    const isSwarms =
      holdings.pools.get(key) !== undefined || [...cluster.swarmPools()].includes(key)
    const isTold = settings.scope === 'global' && isSwarms
    return { kind: isTold ? 'told' : 'shared', cidr, overlay }
  }

  #localPrefixes(): Cidr[] {
    const { cluster, holdings } = this.#parts
    const swarms = Array.from(cluster.swarmPools(), (key) => parsePoolKey(key)?.cidr)
    const own = holdings.pools.all().map(({ name }) => name.cidr)
    return [...new Set([...own, ...swarms.filter((cidr) => cidr !== undefined)])]
  }

  /** One pool is one network on a host; one that was never bound is taken over after a while. */
  #refuseHeld(key: string, pool: LocalPool | undefined): void {
    const row = pool?.row ?? null
    const remedy =
      'to have another overlay with the same subnet on this host, keep it apart: ' +
      'give both --ipam-opt overlay=NAME and -o overlay=NAME'
    if (row !== null && row.networkId !== null) {
      const network = row.networkId.slice(0, 12)
      throw refusal(
        'POOL_IN_USE',
        `pool ${key} is used by network ${network} on this host; ${remedy}; if "docker network ls" ` +
          `does not have it, DELETE /networks/${network} (see README) removes it`,
      )
    }
    if (this.#requested.has(key) || (row !== null && mayBeBound(this.#parts.clock, row))) {
      throw refusal(
        'POOL_IN_USE',
        `pool ${key} was requested on this host a moment ago and its network is not created yet; ` +
          `try again in ${requestedGraceMs / 1000} s, or ${remedy}`,
      )
    }
  }
}

/**
 * Whether CreateNetwork may still come for a pool that belongs to no network. A clock that was set
 * back says nothing.
 */
export function mayBeBound(clock: Clock, { networkId, since }: PoolRow): boolean {
  const ageMs = clock.wall() - since
  return networkId === null && ageMs >= 0 && ageMs < requestedGraceMs
}

/** The overlay that `--ipam-opt` keeps the pool apart for; refuses options that nobody knows. */
function overlayOption(options: Readonly<Record<string, string>>): string | null {
  for (const key of Object.keys(options)) {
    if (!knownOptions.includes(key)) {
      throw refusal(
        'OPTION_UNKNOWN',
        `--ipam-opt ${key} is not known; known are: ${knownOptions.join(', ')}`,
      )
    }
  }
  const overlay = options['overlay']
  if (overlay === undefined) return null
  if (isOverlayId(overlay)) return overlay
  throw refusal(
    'OPTION_INVALID',
    `--ipam-opt overlay=${overlay}: an overlay id has 1 to ${maxOverlayIdLength} letters, digits, dots, dashes ` +
      'and underscores, and begins with a letter or digit',
  )
}

/** Refuses a sub-pool (`--ip-range`) that is not inside its pool. */
function refuseSubPool(cidr: Cidr, subPool: Cidr | null): void {
  if (subPool === null || cidrIncludes(cidr, subPool)) return
  throw refusal('BAD_REQUEST', `--ip-range ${subPool} is not inside --subnet ${cidr}`)
}

function refusedPool(name: PoolName, refused: Refused): OverlayError {
  const key = poolKeyOf(name)
  if (refused.code !== 'OVERLAP') return refusedByState(`pool ${key}`, refused)
  const { pool, member } = refused
  return refusal(
    'POOL_OVERLAP',
    `pool ${key} overlaps pool ${pool}, which ${member} has; choose another --subnet, or ` +
      `the same one as ${member} to be on the same overlay, or keep them apart with --ipam-opt overlay= and -o overlay=`,
  )
}
