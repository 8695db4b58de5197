import type { Clock } from '../../base/clock.ts'
import { attempt } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { blockRange } from '../../net/pool-geometry.ts'
import type { Holdings } from '../holdings.ts'
import type { PeerRequests } from '../peer-requests.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { Usage } from '../ports.ts'
import { refusedByState } from '../errors.ts'
import type { Offer, Spares } from './spares.ts'
import { blocksToClaim, blocksToKeep, spareAddresses } from './watermarks.ts'

/** After a failed try to get blocks ahead of need the next is this much later, ms. */
const aheadPauseMs = 5000
/** Blocks ahead of need are claimed within this, ms. */
const aheadMs = 3000
/** An empty block is kept at least this long, ms: containers are often restarted. */
const minEmptyMs = 60_000

/** What came of asking for more: addresses of ours now, or single ones that others would lend. */
interface Supplied {
  readonly gained: boolean
  readonly offers: readonly Offer[]
  /** Who owns most blocks, when none is left. */
  readonly owners: readonly Usage[]
}

interface AllocatorParts {
  readonly holdings: Holdings
  readonly peers: PeerRequests
  readonly spares: Spares
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Keeps each pool supplied with blocks: at first use, ahead of need, when requests wait; and gives
 * back what lies idle. For each pool at most one claim runs at a time, however many requests wait
 * for it.
 */
export class BlockAllocator {
  readonly #parts: AllocatorParts
  readonly #running = new Map<string, Promise<Supplied>>()
  readonly #aheadNotBefore = new Map<string, number>()

  constructor(parts: AllocatorParts) {
    this.#parts = parts
  }

  /** Gets blocks for the requests that wait, by `deadline`, on our clock, ms. Fails with QUORUM. */
  more(pool: LocalPool, deadline: number): Promise<Supplied> {
    const running = this.#running.get(pool.key)
    if (running !== undefined) return running
    const started = this.#more(pool, deadline).finally(() => this.#running.delete(pool.key))
    this.#running.set(pool.key, started)
    return started
  }

  /** Gets blocks in the background when few addresses are left. */
  keepStocked(pool: LocalPool): void {
    const { clock, logger } = this.#parts
    const now = clock.now()
    if (this.#running.has(pool.key) || this.#lacking(pool) === 0) return
    if ((this.#aheadNotBefore.get(pool.key) ?? -Infinity) > now) return
    this.#aheadNotBefore.set(pool.key, now + aheadPauseMs)
    void attempt(
      async () => {
        const { gained } = await this.more(pool, now + aheadMs)
        if (gained) this.#aheadNotBefore.delete(pool.key)
      },
      (error) => logger.debug('no blocks ahead of need', { pool: pool.key, error }),
    )
  }

  /** Gives back blocks that lie idle. */
  async trim(): Promise<void> {
    const { holdings } = this.#parts
    for (const pool of holdings.pools.all()) {
      const excess = this.#excess(pool)
      if (excess.length > 0) await holdings.releaseBlocks(pool, excess)
    }
  }

  /** Resolves when no claim runs. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running.values())
  }

  async #more(pool: LocalPool, deadline: number): Promise<Supplied> {
    const nothing: Supplied = { gained: false, offers: [], owners: [] }
    if (this.#lacking(pool) === 0 || !pool.held || pool.window === null) return nothing
    const { gained, owners } = await this.#claim(pool, deadline)
    if (gained || pool.waiting === 0) return { ...nothing, gained, owners }
    const { released, offers } = await this.#parts.spares.ask(pool, deadline)
    if (released === 0) return { gained: false, offers, owners }
    return { ...nothing, ...(await this.#claim(pool, deadline)), offers }
  }

  async #claim(
    pool: LocalPool,
    deadline: number,
  ): Promise<{ gained: boolean; owners: readonly Usage[] }> {
    const { clock, holdings } = this.#parts
    const { window } = pool
    // Blocks that are given up here are still ours there, and would count.
    if (pool.owed.blocks.length > 0) await holdings.flush(pool, deadline)
    const before = { blocks: pool.ranges.length, fresh: pool.fresh(clock.now()) }
    const inWindow = [...pool.blocks.keys()].filter(
      (index) => blockRange(pool.geometry, index, window!) !== null,
    ).length
    const total = inWindow + this.#lacking(pool)
    const wish = { total, first: window!.first, last: window!.last }
    let owners: readonly Usage[] = []
    const what = `a block of pool ${pool.key}`
    const outcome = await holdings.submit(what, deadline, async (agreement, timeoutMs) => {
      const claimed = await agreement.claim(pool.key, wish, timeoutMs)
      if ('refused' in claimed) return claimed
      owners = claimed.ok.owners
      return { ok: claimed.ok.view }
    })
    if ('refused' in outcome) throw refusedByState(what, outcome.refused)
    // A loan that came back frees an address without a new block.
    const gained = pool.ranges.length > before.blocks || pool.fresh(clock.now()) > before.fresh
    return { gained, owners }
  }

  #lacking(pool: LocalPool): number {
    // Who waits found nothing: what seems fresh is lent, or set aside.
    const fresh = pool.waiting > 0 ? 0 : pool.fresh(this.#parts.clock.now())
    const stock = { blocks: pool.ranges.length, fresh, waiting: pool.waiting }
    return blocksToClaim(pool.geometry, stock, this.#parts.peers.count)
  }

  #excess(pool: LocalPool): number[] {
    const { clock, peers } = this.#parts
    const keep = blocksToKeep(pool.geometry, pool.leases.size, peers.count)
    const surplus = pool.blocks.size - keep
    if (surplus <= 0 || pool.waiting > 0) return []
    if (pool.fresh(clock.now()) <= spareAddresses(pool.geometry)) return []
    const isOld = (index: number): boolean =>
      clock.wall() - pool.blocks.get(index)!.since >= minEmptyMs
    return pool.idleBlocks().filter(isOld).slice(0, surplus)
  }
}
