import { attempt } from '../../base/errors.ts'
import { blockRange } from '../../net/pool-geometry.ts'
import { refusedByState } from '../errors.ts'
import type { Holdings } from '../holdings.ts'
import type { Lending, Offer } from '../leases/lending.ts'
import type { PeerRequests } from '../peer-requests.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { IpamPorts, Usage } from '../ports.ts'
import { blocksToClaim, blocksToKeep, spareAddresses } from './watermarks.ts'

/** After a failed try to get blocks ahead of need the next is this much later, ms. */
const aheadPauseMs = 5000
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

type AllocatorParts = Pick<IpamPorts, 'clock' | 'logger'> & {
  readonly holdings: Holdings
  readonly peers: PeerRequests
  readonly lending: Lending
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

  async trim(): Promise<void> {
    const { holdings } = this.#parts
    for (const pool of holdings.pools.values())
      await holdings.releaseBlocks(pool, this.#excess(pool))
  }

  async #more(pool: LocalPool, deadline: number): Promise<Supplied> {
    const nothing = { gained: false, offers: [], owners: [] }
    if (this.#lacking(pool) === 0 || pool.row === null || pool.window === null) return nothing
    const claimed = await this.#claim(pool, deadline)
    if (claimed.gained || pool.waiting === 0) return claimed
    const { released, offers } = await this.#parts.lending.askOwners(pool, deadline)
    if (released > 0) return { ...(await this.#claim(pool, deadline)), offers }
    return { ...claimed, offers }
  }

  async #claim(pool: LocalPool, deadline: number): Promise<Supplied> {
    const { clock, holdings } = this.#parts
    const { first, last } = pool.window!
    // Blocks that are given up here are still ours there, and would count.
    if (pool.owed.blocks.length > 0) await holdings.flush(pool, deadline)
    const before = { blocks: pool.ranges.length, fresh: pool.fresh(clock.now()) }
    const inWindow = [...pool.blocks.keys()].filter(
      (index) => blockRange(pool.geometry, index, { first, last }) !== null,
    )
    const wish = { total: inWindow.length + this.#lacking(pool), first, last }
    const what = `a block of pool ${pool.key}`
    const claim = holdings.agreement.claim(pool.key, wish)
    const outcome = await holdings.submit(what, deadline, claim)
    if ('refused' in outcome) throw refusedByState(what, outcome.refused)
    // A loan that came back frees an address without a new block.
    const gained = pool.ranges.length > before.blocks || pool.fresh(clock.now()) > before.fresh
    return { gained, owners: outcome.ok.owners, offers: [] }
  }

  #lacking(pool: LocalPool): number {
    // Who waits found nothing: what seems fresh is lent, or set aside.
    const fresh = pool.waiting > 0 ? 0 : pool.fresh(this.#parts.clock.now())
    const stock = { blocks: pool.ranges.length, fresh, waiting: pool.waiting }
    return blocksToClaim(pool.geometry, stock, this.#parts.peers.count)
  }

  #excess(pool: LocalPool): number[] {
    const { clock, peers } = this.#parts
    const surplus = pool.blocks.size - blocksToKeep(pool.geometry, pool.leases.size, peers.count)
    if (surplus <= 0 || pool.waiting > 0) return []
    if (pool.fresh(clock.now()) <= spareAddresses(pool.geometry)) return []
    const since = clock.wall() - minEmptyMs
    const old = pool.idleBlocks().filter((index) => pool.blocks.get(index)!.since <= since)
    return old.slice(0, surplus)
  }
}
