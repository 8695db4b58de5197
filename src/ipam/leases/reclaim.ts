import type { Clock } from '../../base/clock.ts'
import type { Logger } from '../../base/logger.ts'
import { below, type Random } from '../../base/random.ts'
import { blockOf } from '../../net/pool-geometry.ts'
import type { Holdings } from '../holdings.ts'
import type { PeerRequests } from '../peer-requests.ts'
import type { LocalPool } from '../pools/local-pool.ts'
import type { PoolRequests } from '../pools/pool-requests.ts'
import type { Duplicates } from './duplicates.ts'
import type { Lending } from './lending.ts'

/** At one step so many blocks are asked for, others at the next. */
const blocksAtOnce = 8
/** One command may take this long, ms. */
const commandMs = 3000

interface ReclaimParts {
  readonly holdings: Holdings
  readonly requests: PoolRequests
  readonly lending: Lending
  readonly peers: PeerRequests
  readonly duplicates: Duplicates
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/**
 * After an eviction, a change of clusters, or at a start: asks again for the pools that this host
 * has and for the addresses that its containers use: the block, or each address from the member
 * that owns the block now. What another member uses too is a duplicate.
 */
export class Reclaim {
  readonly #parts: ReclaimParts
  /** By pool the sentence it was refused with, which is logged once. */
  readonly #refused = new Map<string, string>()

  constructor(parts: ReclaimParts) {
    this.#parts = parts
  }

  async step(): Promise<void> {
    for (const pool of this.#parts.holdings.pools.all()) {
      if (pool.name.kind !== 'shared') continue
      if (pool.grant === 0 && !(await this.#holdAgain(pool))) continue
      const blocks = [...unbacked(pool)]
      const first = blocks.length === 0 ? 0 : below(this.#parts.random, blocks.length)
      for (let i = 0; i < Math.min(blocks.length, blocksAtOnce); i++) {
        const [index, offsets] = blocks[(first + i) % blocks.length]!
        await this.#reclaimBlock(pool, index, offsets)
      }
    }
  }

  get #deadline(): number {
    return this.#parts.clock.now() + commandMs
  }

  async #holdAgain(pool: LocalPool): Promise<boolean> {
    const { logger, requests } = this.#parts
    const refused = await requests.confirm(pool, this.#deadline)
    if (refused === null) {
      this.#refused.delete(pool.key)
      return this.#setAsideAgain(pool)
    }
    if (this.#refused.get(pool.key) !== refused) {
      this.#refused.set(pool.key, refused)
      logger.warn('a pool of this host clashes with another', { pool: pool.key, error: refused })
    }
    return false
  }

  /**
   * What the cluster may have lost with this member's eviction: the gateway, and what was set
   * aside.
   */
  async #setAsideAgain(pool: LocalPool): Promise<boolean> {
    const { holdings, logger } = this.#parts
    const { gateway } = pool.agreed
    if (gateway !== null) {
      const outcome = await holdings.submit(
        `gateway ${gateway}`,
        this.#deadline,
        (agreement, timeoutMs) => agreement.gateway(pool.key, gateway, timeoutMs),
      )
      if ('refused' in outcome) logger.warn('the cluster has another gateway', { pool: pool.key })
    }
    for (const ip of pool.row?.reserved ?? []) {
      const offset = pool.offset(ip)
      if (offset === null || pool.agreed.reserved.includes(offset)) continue
      await holdings.submit(`address ${ip}`, this.#deadline, (agreement, timeoutMs) =>
        agreement.reserve(pool.key, offset, timeoutMs),
      )
    }
    return true
  }

  async #reclaimBlock(pool: LocalPool, index: number, offsets: readonly number[]): Promise<void> {
    const { duplicates, holdings, lending, peers } = this.#parts
    const what = `block ${index} of pool ${pool.key}`
    const outcome = await holdings.submit(what, this.#deadline, (agreement, timeoutMs) =>
      agreement.claimBlock(pool.key, index, timeoutMs),
    )
    const owner = 'refused' in outcome ? outcome.refused.member : undefined
    if (owner === undefined) return
    for (const offset of offsets) {
      const lease = pool.leases.get(offset)
      if (lease === undefined || pool.busy.has(offset) || peers.state(owner) === undefined) continue
      const still = (): boolean => pool.held && pool.leases.get(offset) === lease
      if ((await lending.borrow(pool, offset, owner, lease, still)) !== 'in use') continue
      const { borrower } = await holdings.whoHas(pool, offset, commandMs)
      duplicates.suspect(pool, offset, lease, borrower ?? owner)
    }
  }
}

/**
 * By block the leased offsets that neither our block nor a loan stands for, and those lent although
 * a container here has them.
 */
function unbacked(pool: LocalPool): Map<number, number[]> {
  const byBlock = new Map<number, number[]>()
  for (const [offset, lease] of pool.leases.entries()) {
    if (pool.isBacked(offset, lease)) continue
    const index = blockOf(pool.geometry, offset)
    byBlock.set(index, [...(byBlock.get(index) ?? []), offset])
  }
  return byBlock
}
