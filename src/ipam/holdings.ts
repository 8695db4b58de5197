import type { Clock } from '../base/clock.ts'
import { attempt } from '../base/errors.ts'
import { blockOf } from '../net/pool-geometry.ts'
import type { Logger } from '../base/logger.ts'
import { DurableWriter } from './durable-writer.ts'
import { Membership } from './membership/membership.ts'
import type { LocalPool } from './pools/local-pool.ts'
import { PoolTable } from './pools/pool-table.ts'
import type { IpamAgreement, IpamPorts, Outcome, PoolView, Possession, Usage } from './ports.ts'

/** What nobody waits for takes at most this, ms. */
const backgroundMs = 3000

/**
 * What this host has, and how it stays what the cluster agreed on. All that is agreed about a pool
 * comes as a view, from a command's answer or a question's, and is adopted in one way; so a lost
 * answer, a restart and an eviction are the same thing: the next view tells.
 */
export class Holdings {
  readonly pools: PoolTable
  readonly writer: DurableWriter
  readonly membership: Membership
  readonly #agreement: IpamAgreement
  readonly #clock: Clock
  readonly #logger: Logger
  /** Rises when nothing that was agreed before is ours any more. */
  #epoch = 0
  /**
   * Pools that this host does not hold any more, by key with the grant, until the voters have it.
   */
  readonly #dropped = new Map<string, number>()
  /** Commands for whole pools that are under way, and those that ever were. */
  #poolCommands = { running: 0, begun: 0 }

  constructor(ports: IpamPorts) {
    const { agreement, clock, consensus, logger, store } = ports
    this.#agreement = agreement
    this.#clock = clock
    this.#logger = logger
    this.writer = new DurableWriter(store, logger)
    this.pools = new PoolTable(this.writer)
    this.membership = new Membership(ports, this.writer, () => this.#loseAll())
    consensus.onClusterChange(() => this.membership.clusterChanged())
  }

  /**
   * Submits a command whose answer is a view, and makes that view ours; on the disk when it
   * resolves.
   */
  async submit(
    what: string,
    deadline: number,
    command: (agreement: IpamAgreement, timeoutMs: number) => Promise<Outcome<PoolView>>,
  ): Promise<Outcome<PoolView>> {
    const epoch = this.#epoch
    const outcome = await this.membership.submit(what, deadline, command)
    if ('ok' in outcome && epoch === this.#epoch) await this.adopt(outcome.ok)
    return outcome
  }

  /** The same for a command that makes this host hold a pool: `place` makes the view ours. */
  async hold(
    what: string,
    deadline: number,
    command: (agreement: IpamAgreement, timeoutMs: number) => Promise<Outcome<PoolView>>,
    place: (view: PoolView) => Promise<void>,
  ): Promise<Outcome<PoolView>> {
    this.#poolCommands.running++
    this.#poolCommands.begun++
    try {
      const outcome = await this.membership.submit(what, deadline, command)
      if ('ok' in outcome) await place(outcome.ok)
      return outcome
    } finally {
      this.#poolCommands.running--
    }
  }

  /** Makes a view ours; on the disk when it resolves. */
  adopt(view: PoolView): Promise<void> {
    const pool = this.pools.get(view.pool)
    if (pool === undefined) return Promise.resolve()
    const { changes, lost } = pool.adopt(view, this.#clock.wall())
    if (lost.length > 0) {
      this.#logger.warn('blocks are not ours any more: this member was evicted', {
        pool: pool.key,
        blocks: lost,
      })
    }
    return this.writer.write(changes)
  }

  /** Asks for all that is ours and makes it so. Fails with QUORUM, or STORE. */
  async sync(timeoutMs: number): Promise<void> {
    const epoch = this.#epoch
    const { begun, running } = this.#poolCommands
    const { index, pools } = await this.#agreement.holdings(timeoutMs)
    if (epoch !== this.#epoch) return
    const views = new Map(pools.map((view) => [view.pool, view]))
    const written: Promise<void>[] = []
    for (const pool of this.pools.all()) {
      const view = views.get(pool.key) ?? nothingOf(pool, index)
      written.push(this.adopt(view))
    }
    await Promise.all(written)
    // The answer of a command that is under way may be about to make a pool ours.
    if (running > 0 || begun !== this.#poolCommands.begun) return
    for (const view of pools) if (this.pools.get(view.pool) === undefined) await this.#return(view)
  }

  /** Releases what is given up of the pool, once that is on the disk. */
  async flush(pool: LocalPool, deadline = this.#clock.now() + backgroundMs): Promise<void> {
    await this.writer.durable()
    const { blocks, loans } = pool.owed
    const what = `back what is free of pool ${pool.key}`
    if (blocks.length + loans.length > 0) {
      await this.submit(what, deadline, (agreement, timeoutMs) =>
        agreement.release(pool.key, blocks, loans, timeoutMs),
      )
    }
    for (const offset of pool.unreserving) {
      const outcome = await this.submit(what, deadline, (agreement, timeoutMs) =>
        agreement.unreserve(pool.key, offset, timeoutMs),
      )
      if ('ok' in outcome || outcome.refused.code === 'NOT_HELD') pool.unreserving.delete(offset)
    }
  }

  /** The same without waiting; what fails is done again by maintenance. */
  flushSoon(pool: LocalPool): void {
    void attempt(
      () => this.flush(pool),
      (error) => this.#logger.debug('not released yet', { pool: pool.key, error }),
    )
  }

  /**
   * Gives those of the blocks back that nobody here uses; resolves with how many, when it is
   * agreed.
   */
  async releaseBlocks(
    pool: LocalPool,
    indices: readonly number[],
    deadline = this.#clock.now() + backgroundMs,
  ): Promise<number> {
    const idle = new Set(pool.idleBlocks())
    const freed = indices.filter((index) => idle.has(index))
    if (freed.length === 0) return 0
    await this.writer.write(freed.map((index) => pool.giveUp(index)))
    await this.flush(pool, deadline)
    return freed.length
  }

  /** Who owns how much of a pool. Fails with QUORUM. */
  usage(pool: LocalPool, timeoutMs: number): Promise<readonly Usage[]> {
    return this.#agreement.usage(pool.key, timeoutMs)
  }

  /** Names of the members that were not evicted. Fails with QUORUM. */
  async members(): Promise<readonly string[]> {
    return (await this.#agreement.members(backgroundMs)).map(({ name }) => name)
  }

  /** In whose hands an address is, for messages; all null when nobody can say. */
  whoHas(pool: LocalPool, offset: number, timeoutMs: number): Promise<Possession> {
    const block = blockOf(pool.geometry, offset)
    return attempt(
      () => this.#agreement.whoHas(pool.key, block, offset, timeoutMs),
      () => ({ owner: null, borrower: null, reserver: null }),
    )
  }

  /** Lets go of a pool with all that this host has of it. On this host's disk when it resolves. */
  async drop(pool: LocalPool): Promise<void> {
    const now = this.#clock.now()
    const changes = [pool.set(null)]
    for (const [offset] of pool.leases.entries()) changes.push(pool.unlease(offset, now))
    for (const index of pool.blocks.keys()) changes.push(pool.giveUp(index))
    this.forget(pool)
    await this.writer.write(changes)
    void attempt(
      () => this.flushDropped(),
      (error) => this.#logger.debug('a pool is not released yet', { pool: pool.key, error }),
    )
  }

  /** The pool is held no more; the voters are told once the disk has that. */
  forget(pool: LocalPool): void {
    this.pools.remove(pool)
    if (pool.grant > 0) this.#dropped.set(pool.key, pool.grant)
  }

  /** Tells the voters of pools that are held no more. Fails with STORE or QUORUM. */
  async flushDropped(): Promise<void> {
    await this.writer.durable()
    for (const [key, grant] of this.#dropped) {
      await this.#agreement.releasePool(key, grant, backgroundMs)
      if (this.#dropped.get(key) === grant) this.#dropped.delete(key)
    }
  }

  /** The voters have something for us that we do not want: an answer was lost, or a release. */
  async #return({ pool, held, blocks, loans }: PoolView): Promise<void> {
    await this.writer.durable()
    if (this.pools.get(pool) !== undefined) return
    if (held !== null) return void (await this.#agreement.releasePool(pool, held, backgroundMs))
    await this.membership.submit('back', this.#clock.now() + backgroundMs, (agreement, timeoutMs) =>
      agreement.release(pool, blocks, loans, timeoutMs),
    )
  }

  #loseAll(): void {
    this.#epoch++
    this.#dropped.clear()
    const changes = this.pools.all().flatMap((pool) => pool.loseAll())
    void attempt(
      () => this.writer.write(changes),
      (error) => this.#logger.debug('could not note the loss of blocks', { error }),
    )
  }
}

function nothingOf({ key, agreed }: LocalPool, index: number): PoolView {
  return { pool: key, index, held: null, auto: false, ...agreed, lent: [], blocks: [], loans: [] }
}
