import { Every } from '../base/timers.ts'
import { below } from '../base/random.ts'
import { blockOf } from '../net/pool-geometry.ts'
import type { BlockAllocator } from './blocks/block-allocator.ts'
import type { Holdings } from './holdings.ts'
import type { Duplicates } from './leases/duplicates.ts'
import type { Lending } from './leases/lending.ts'
import type { PeerRequests } from './peer-requests.ts'
import type { LocalPool } from './pools/local-pool.ts'
import type { PoolRequests } from './pools/pool-requests.ts'
import type { IpamPorts } from './ports.ts'
import type { Readiness } from './readiness.ts'

/** A step comes this often once this member is registered, ms, and this often before. */
const stepMs = 1000
const unregisteredStepMs = 150
/** What is ours is asked for this often although nothing suggests that it changed, ms. */
const syncMs = 60_000
/** Idle blocks are looked for at each fifth step. */
const stepsBetweenTrims = 5
/** At one step this many blocks are asked for again, others at the next. */
const blocksAtOnce = 8
const commandMs = 3000

type MaintenanceParts = Pick<IpamPorts, 'clock' | 'random' | 'logger'> & {
  readonly holdings: Holdings
  readonly requests: PoolRequests
  readonly blocks: BlockAllocator
  readonly lending: Lending
  readonly peers: PeerRequests
  readonly duplicates: Duplicates
  readonly readiness: Readiness
}

/**
 * What this room does without being asked: renewing the membership, learning what is ours, giving
 * back what is free. After an eviction, a change of clusters or a start it asks again for the pools
 * that this host has and for the addresses that its containers use: the block, or each address from
 * the member that owns the block now. A step that fails is tried again.
 */
export class Maintenance {
  readonly #parts: MaintenanceParts
  readonly every: Every
  #syncedAt = -Infinity
  #steps = 0
  /** By pool the sentence that it was refused with, which is logged once. */
  readonly #refused = new Map<string, string | null>()

  constructor(parts: MaintenanceParts) {
    this.#parts = parts
    const { clock, holdings, logger, random } = parts
    this.every = new Every({
      clock,
      intervalMs: () => {
        const pause = holdings.membership.isRegistered ? stepMs : unregisteredStepMs
        return pause + below(random, pause >> 2)
      },
      run: () => this.#step(),
      warn: (failure) => logger.debug('a step of maintenance failed', { error: failure }),
    })
  }

  async #step(): Promise<void> {
    const { blocks, clock, duplicates, holdings, readiness } = this.#parts
    const { membership, pools, writer } = holdings
    this.#steps++
    await writer.durable() // what the disk refused is tried again
    if (!membership.isRegistered || membership.isDue) await membership.renew()
    membership.reportLease()
    if (!membership.isRegistered) return
    if (!readiness.isVerified || clock.now() - this.#syncedAt >= syncMs) {
      if (!(await readiness.verify())) return
      this.#syncedAt = clock.now()
    }
    await holdings.flushDropped()
    for (const pool of pools.values()) await holdings.flush(pool)
    for (const pool of pools.values()) if (pool.name.kind === 'shared') await this.#reclaim(pool)
    await duplicates.step()
    if (this.#steps % stepsBetweenTrims === 0) await blocks.trim()
  }

  /** Asks for the pool, and for addresses that neither a block of ours nor a loan stands for. */
  async #reclaim(pool: LocalPool): Promise<void> {
    if (pool.grant === 0 && !(await this.#holdAgain(pool))) return
    const unbacked = [...pool.leases.entries()]
      .filter(([offset, { loan }]) => loan === null && !pool.ownsOffset(offset))
      .map(([offset]) => offset)
    const blocks = [...Map.groupBy(unbacked, (offset) => blockOf(pool.geometry, offset))]
    const first = blocks.length === 0 ? 0 : below(this.#parts.random, blocks.length)
    const some = [...blocks.slice(first), ...blocks.slice(0, first)].slice(0, blocksAtOnce)
    for (const [index, offsets] of some) await this.#reclaimBlock(pool, index, offsets)
  }

  get #deadline(): number {
    return this.#parts.clock.now() + commandMs
  }

  /** Whether the cluster agrees that we hold the pool. */
  async #holdAgain(pool: LocalPool): Promise<boolean> {
    const { logger, requests } = this.#parts
    const refused = await requests.confirm(pool, this.#deadline)
    if (refused !== null && this.#refused.get(pool.key) !== refused) {
      logger.warn('a pool of this host clashes with another', { pool: pool.key, error: refused })
    }
    this.#refused.set(pool.key, refused)
    if (refused === null) await this.#setAsideAgain(pool)
    return refused === null
  }

  /** What the cluster may have lost with this member: the gateway, and what was set aside. */
  async #setAsideAgain(pool: LocalPool): Promise<void> {
    const { holdings, logger } = this.#parts
    const { agreement } = holdings
    const { gateway } = pool.agreed
    if (gateway !== null) {
      const command = agreement.gateway(pool.key, gateway)
      const outcome = await holdings.submit(`gateway ${gateway}`, this.#deadline, command)
      if ('refused' in outcome) logger.warn('the cluster has another gateway', { pool: pool.key })
    }
    for (const ip of pool.row?.reserved ?? []) {
      const offset = pool.offset(ip)
      if (offset === null || pool.agreed.reserved.includes(offset)) continue
      const command = agreement.reserve(pool.key, offset)
      await holdings.submit(`address ${ip}`, this.#deadline, command)
    }
  }

  async #reclaimBlock(pool: LocalPool, index: number, offsets: readonly number[]): Promise<void> {
    const { holdings, lending, peers } = this.#parts
    const what = `block ${index} of pool ${pool.key}`
    const command = holdings.agreement.claimBlock(pool.key, index)
    const outcome = await holdings.submit(what, this.#deadline, command)
    const owner = 'refused' in outcome ? outcome.refused.member : undefined
    if (owner === undefined || peers.state(owner) === undefined) return
    for (const offset of offsets) {
      const lease = pool.leases.get(offset)
      if (lease === undefined || pool.busy.has(offset)) continue
      const still = (): boolean => pool.row !== null && pool.leases.get(offset) === lease
      await lending.borrow(pool, offset, owner, lease, still)
    }
  }
}
