import { isBug, messageOf } from '../../base/errors.ts'
import { below } from '../../base/random.ts'
import { type Context, memberCount } from '../context.ts'
import { noMajority } from '../refusals.ts'
import { blockItem, itemKey } from '../voting/items.ts'
import { itemsMost } from '../voting/messages.ts'
import type { ClaimResult } from '../voting/claims.ts'
import { blockOrder } from './block-choice.ts'
import { letGo } from './block-return.ts'
import type { HeldPool } from '../pools/held-pool.ts'
import { askForSpares, type Offer } from './spares.ts'
import { blocksToClaim, blocksToKeep, spareAddresses, type Stock } from './stock.ts'

/**
 * A block that somebody else has votes for is not asked for again for this long, and up to as much again, ms: twice as long with
 * each refusal, up to a limit. A rival's claim that fails is over soon; one that succeeded is published.
 */
const refusedMs = 100
const refusedMostMs = 10_000
/** How often we look whether we have become a voter, ms. */
const seatPollMs = 20
/** After a failed try to get blocks ahead of need the next is this much later, ms. */
const aheadPauseMs = 5000
/** An empty block is kept at least this long, ms: containers are often started again. */
const emptyBlockMs = 60_000

/** What came of asking for more: blocks of ours now, or single addresses that others would lend. */
interface Supplied {
  readonly blocks: number
  readonly offers: readonly Offer[]
}

/**
 * Keeping a pool stocked with blocks: at first use, ahead of need, when requests wait; and giving back
 * what lies idle. For each pool at most one claim runs at a time, however many requests wait for it.
 */
export class Supply {
  readonly #context: Context
  readonly #running = new Map<string, Promise<Supplied>>()
  /** By block item how often it was refused, and the time until which it is not asked for, ms. */
  readonly #refused = new Map<string, { times: number; until: number }>()
  readonly #aheadNotBefore = new Map<string, number>()

  constructor(context: Context) {
    this.#context = context
  }

  /** Gets blocks for those that wait. Fails with NO_MAJORITY. Nothing supplied: nothing is to be had. */
  more(pool: HeldPool, deadline: number): Promise<Supplied> {
    const running = this.#running.get(pool.key)
    if (running !== undefined) return running
    const started = this.#more(pool, deadline).finally(() => this.#running.delete(pool.key))
    this.#running.set(pool.key, started)
    return started
  }

  /** Claims this block. */
  async claim(pool: HeldPool, indices: readonly number[], deadline: number): Promise<ClaimResult> {
    const { claims, clock, cluster, surroundings } = this.#context
    const items = indices.map((index) => blockItem(pool.key, index))
    const since = clock.wall()
    const owned: number[] = []
    try {
      const result = await claims.claim({ items, deadline }, (won) => {
        owned.push(...won.map(({ number }) => number))
        return won.map(({ number }) => pool.own(number, since))
      })
      for (const { item, rival } of result.lost) {
        if (rival !== null) this.#noteRefusal(itemKey(item))
      }
      return result
    } finally {
      // Ours also when the disk refused: no address of them is handed out before they are written down.
      for (const index of owned) {
        if (pool.ownsBlock(index)) cluster.publishBlock({ poolKey: pool.key, index, since })
      }
      if (owned.length > 0) surroundings.changed()
    }
  }

  /** Gets blocks in the background when the stock is low. */
  keepStocked(pool: HeldPool): void {
    const { clock, logger } = this.#context
    const now = clock.now()
    if (this.#running.has(pool.key) || this.#lacking(pool) === 0) return
    if ((this.#aheadNotBefore.get(pool.key) ?? -Infinity) > now) return
    this.#aheadNotBefore.set(pool.key, now + aheadPauseMs)
    this.more(pool, now)
      .then(({ blocks }) => {
        if (blocks > 0) this.#aheadNotBefore.delete(pool.key)
      })
      .catch((error: unknown) => {
        if (isBug(error)) throw error
        logger.debug('no blocks ahead of need', { pool: pool.key, error: messageOf(error) })
      })
  }

  /** Gives back blocks that lie idle, and all of pools that are not held any more. */
  async trim(): Promise<void> {
    const { clock, shelf } = this.#context
    const now = clock.now()
    for (const [key, { until }] of this.#refused) {
      if (until + refusedMostMs < now) this.#refused.delete(key)
    }
    for (const pool of shelf.all()) {
      const excess = pool.held ? this.#excess(pool) : [...pool.blocks().keys()]
      if (excess.length > 0) await letGo(this.#context, pool, excess)
      if (!this.#running.has(pool.key)) shelf.tidy(pool)
    }
  }

  /** Resolves when no claim runs. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running.values())
  }

  async #more(pool: HeldPool, deadline: number): Promise<Supplied> {
    const { claims, clock, seat, wire } = this.#context
    const what = `a block of pool ${pool.key}`
    for (;;) {
      const wanted = Math.min(this.#lacking(pool), itemsMost)
      if (wanted === 0 || !pool.held) return { blocks: pool.blocks().size, offers: [] }
      if (!seat.seated) {
        if (clock.now() >= deadline) throw noMajority(this.#context, what, claims.shortage())
        await wire.pause(seatPollMs)
        continue
      }
      const candidates = this.#unowned(pool)
      const open = candidates.filter((index) => !this.#refusedNow(pool, index))
      if (open.length === 0) {
        const supplied = await this.#fromOthers(pool, deadline)
        const any = supplied.blocks > 0 || supplied.offers.length > 0
        if (any || candidates.length === 0) return supplied
      } else {
        const { won, shortage } = await this.claim(pool, open.slice(0, wanted), deadline)
        if (won.length > 0) return { blocks: won.length, offers: [] }
        if (shortage !== null) throw noMajority(this.#context, what, shortage)
      }
      if (clock.now() >= deadline) return { blocks: 0, offers: [] }
      if (open.length <= wanted) await wire.pause(refusedMs)
    }
  }

  /** All blocks have owners: those with more than they use may give some back, or lend single addresses. */
  async #fromOthers(pool: HeldPool, deadline: number): Promise<Supplied> {
    if (pool.waiting === 0) return { blocks: 0, offers: [] }
    const { released, offers } = await askForSpares(this.#context, pool)
    if (released.length === 0 || this.#context.clock.now() >= deadline) return { blocks: 0, offers }
    const { won } = await this.claim(pool, released, deadline)
    return { blocks: won.length, offers }
  }

  #lacking(pool: HeldPool): number {
    return blocksToClaim(pool.geometry, this.#stock(pool), memberCount(this.#context))
  }

  #stock(pool: HeldPool): Stock {
    // Who waits found nothing: what seems fresh is lent, or set aside.
    const fresh = pool.waiting > 0 ? 0 : pool.fresh(this.#context.clock.now())
    return { blocks: pool.ranges.length, fresh, waiting: pool.waiting }
  }

  /** Blocks that nobody publishes as owned, in our own order. */
  #unowned(pool: HeldPool): number[] {
    const { cluster, surroundings } = this.#context
    const { window } = pool
    if (window === null) return []
    const owners = surroundings.owners(pool.key)
    return blockOrder(pool.geometry, cluster.self, window).filter(
      (index) => !owners.has(index) && !pool.ownsBlock(index),
    )
  }

  #refusedNow(pool: HeldPool, index: number): boolean {
    const refused = this.#refused.get(itemKey(blockItem(pool.key, index)))
    return refused !== undefined && refused.until > this.#context.clock.now()
  }

  #noteRefusal(key: string): void {
    const { clock, random } = this.#context
    const times = (this.#refused.get(key)?.times ?? 0) + 1
    const ms = Math.min(refusedMs * 2 ** (times - 1), refusedMostMs)
    this.#refused.set(key, { times, until: clock.now() + ms + below(random, ms) })
  }

  #excess(pool: HeldPool): number[] {
    const keep = blocksToKeep(pool.geometry, pool.leases.size, memberCount(this.#context))
    const surplus = pool.blocks().size - keep
    if (surplus <= 0 || pool.waiting > 0) return []
    if (pool.fresh(this.#context.clock.now()) <= spareAddresses(pool.geometry)) return []
    const used = pool.usedBlocks()
    const wall = this.#context.clock.wall()
    return [...pool.blocks()]
      .filter(([index, since]) => !used.has(index) && wall - since >= emptyBlockMs)
      .map(([index]) => index)
      .slice(0, surplus)
  }
}
