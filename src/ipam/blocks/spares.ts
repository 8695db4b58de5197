import { type Random, shuffled } from '../../base/random.ts'
import { attempt } from '../../base/errors.ts'
import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { blockRange, type OffsetRange } from '../../net/pool-geometry.ts'
import type { Holdings } from '../holdings.ts'
import { blockedOffsets } from '../leases/offsets.ts'
import type { AnswerTo, PeerRequests, Request } from '../peer-requests.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { IpamCluster, Usage } from '../ports.ts'

/** So many owners are asked at once. */
const ownersAtOnce = 8
/** Who owns a block of the pool is asked within this, ms. */
const usageMs = 1000
/** More addresses than this are not offered at a time. */
const maxOffers = 32

/** An address that its owner would lend. */
export interface Offer {
  readonly owner: string
  readonly offset: number
}

interface SparesParts {
  readonly holdings: Holdings
  readonly peers: PeerRequests
  readonly cluster: IpamCluster
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/**
 * When all blocks of a pool have owners: those with more than they use give blocks back, or lend.
 */
export class Spares {
  readonly #parts: SparesParts

  constructor(parts: SparesParts) {
    this.#parts = parts
  }

  /** Asks owners for what they can do without, some at a time, until one has something. */
  async ask(pool: LocalPool, deadline: number): Promise<{ released: number; offers: Offer[] }> {
    const { clock, cluster, holdings, peers, random } = this.#parts
    const owners = await holdings.usage(pool, usageMs)
    const live = owners.filter(({ member }) => member !== cluster.self && peers.isLive(member))
    const order = shuffled(random, live)
    for (let i = 0; i < order.length && clock.now() < deadline; i += ownersAtOnce) {
      const found = await this.#askSome(pool, order.slice(i, i + ownersAtOnce))
      if (found.released > 0 || found.offers.length > 0) return found
    }
    return { released: 0, offers: [] }
  }

  async #askSome(
    pool: LocalPool,
    owners: readonly Usage[],
  ): Promise<{ released: number; offers: Offer[] }> {
    const { logger, peers } = this.#parts
    const { first, last } = pool.window ?? pool.geometry
    const wanted = Math.min(pool.waiting, maxOffers)
    const query = { kind: 'spare', pool: pool.key, first, last, wanted } as const
    let released = 0
    const offers: Offer[] = []
    await Promise.all(
      owners.map(({ member }) =>
        attempt(
          async () => {
            const answer = await peers.ask(member, query)
            released += answer.released
            for (const offset of answer.offers) offers.push({ owner: member, offset })
          },
          (error) => logger.debug('an owner does not answer', { member, error }),
        ),
      ),
    )
    return { released, offers }
  }

  /** An owner's answer to that: empty blocks are given back, else free addresses are offered. */
  async give(asked: Extract<Request, { kind: 'spare' }>): Promise<AnswerTo<'spare'>> {
    const { holdings, logger } = this.#parts
    const pool = holdings.pools.get(asked.pool)
    const first = Math.max(asked.first, pool?.geometry.first ?? 0)
    const last = Math.min(asked.last, pool?.geometry.last ?? 0)
    if (pool === undefined || first > last) return { kind: 'spared', released: 0, offers: [] }
    const window = { first, last }
    const released = await attempt(
      () => holdings.releaseBlocks(pool, this.#dispensable(pool, window, asked.wanted)),
      (error) => {
        logger.debug('no block given back', { pool: pool.key, error })
        return 0
      },
    )
    const offers = released > 0 ? [] : this.#lendable(pool, window, asked.wanted)
    return { kind: 'spared', released, offers }
  }

  /**
   * Empty blocks, as many as are wanted. One stays when no other block has a free address for
   * ourselves.
   */
  #dispensable(pool: LocalPool, window: OffsetRange, wanted: number): number[] {
    const idle = pool.idleBlocks()
    const inUse = pool.blocks.size - idle.length
    const freeElsewhere =
      pool.fresh(this.#parts.clock.now()) - idle.length * pool.geometry.blockSize > 0
    const kept = inUse > 0 && freeElsewhere ? 0 : 1
    const blocks = Math.ceil(wanted / pool.geometry.blockSize)
    return idle
      .slice(kept)
      .filter((index) => blockRange(pool.geometry, index, window) !== null)
      .slice(0, Math.max(1, blocks))
  }

  #lendable(pool: LocalPool, window: OffsetRange, wanted: number): number[] {
    const blocked = blockedOffsets(this.#parts.cluster, pool)
    const offers: number[] = []
    for (const index of pool.blocks.keys()) {
      const range = blockRange(pool.geometry, index, window)
      for (let offset = range?.first ?? 0; offset <= (range?.last ?? -1); offset++) {
        if (offers.length >= Math.min(wanted, maxOffers)) return offers
        if (pool.leases.get(offset) === undefined && !blocked(offset)) offers.push(offset)
      }
    }
    return offers
  }
}
