import { attempt } from '../base/errors.ts'
import type { Ip } from '../net/ip.ts'
import { parsePoolKey } from '../net/pool-key.ts'
import type { PoolView } from '../net/pool-view.ts'
import { DurableWriter } from './durable-writer.ts'
import { poolNotFound } from './errors.ts'
import type { Lease } from './leases/lease-table.ts'
import { Membership } from './membership/membership.ts'
import type { LocalPool } from './pools/local-pool.ts'
import { loadPools } from './pools/pool-table.ts'
import type { Claimant, Command, IpamAgreement, IpamPorts, Outcome } from './ports.ts'

/** What nobody waits for takes at most this, ms. */
const backgroundMs = 3000

/**
 * What this host has, and how it stays what the cluster agreed on. All that is agreed about a pool
 * comes as a view, from a command's answer or a question's, and is adopted in one way; so a lost
 * answer, a restart and an eviction are the same thing: the next view tells.
 */
export class Holdings {
  readonly agreement: IpamAgreement
  /** By key. A pool that is let go of is not among them; requests that still have it see that. */
  readonly pools: Map<string, LocalPool>
  readonly writer: DurableWriter
  readonly membership: Membership
  readonly #ports: IpamPorts
  /** Rises when nothing that was agreed before is ours any more. */
  epoch = 0
  /** Pools that are not held any more, by key with the grant, until the voters have it. */
  readonly #dropped = new Map<string, number>()
  /** Commands under way by which this host may come to hold a pool, and how many there were. */
  readonly #placing = new Set<Command<unknown>>()
  #placed = 0

  constructor(ports: IpamPorts) {
    this.#ports = ports
    this.agreement = ports.agreement
    this.writer = new DurableWriter(ports.store, ports.logger)
    this.pools = loadPools(ports.store)
    this.membership = new Membership(ports, this.writer, () => this.#loseAll())
    ports.consensus.onClusterChange(() => this.membership.clusterChanged())
  }

  pool(key: string): LocalPool {
    const pool = this.pools.get(key)
    if (pool === undefined) throw poolNotFound(key)
    return pool
  }

  /**
   * Submits a command and adopts the view that it gives, on disk when it resolves. `place` does
   * that where this host comes to hold a pool.
   */
  async submit<T extends PoolView | { readonly view: PoolView }>(
    what: string,
    deadline: number,
    command: Command<T>,
    place?: (view: PoolView) => Promise<void>,
  ): Promise<Outcome<T>> {
    const epoch = this.epoch
    if (place !== undefined) this.#placing.add(command)
    try {
      const outcome = await this.membership.submit(what, deadline, command)
      if ('refused' in outcome) return outcome
      // Granted to an identity, or in a cluster, that is not ours any more.
      if (epoch !== this.epoch) return await this.submit(what, deadline, command, place)
      const answer: PoolView | { readonly view: PoolView } = outcome.ok
      const view = 'view' in answer ? answer.view : answer
      await (place?.(view) ?? this.#adopt(view))
      return outcome
    } finally {
      if (this.#placing.delete(command)) this.#placed++
    }
  }

  #adopt(view: PoolView): Promise<void> {
    const pool = this.pools.get(view.pool)
    if (pool === undefined) return Promise.resolve()
    const { changes, lost } = pool.adopt(view, this.#ports.clock.wall())
    const why = 'blocks are not ours any more: this member was evicted'
    if (lost.length > 0) this.#ports.logger.warn(why, { pool: pool.key, blocks: lost })
    return this.writer.write(changes)
  }

  /** Asks for all that is ours and makes it so. Fails with QUORUM, or STORE. */
  async sync(timeoutMs: number): Promise<void> {
    const epoch = this.epoch
    const placed = this.#placing.size > 0 ? null : this.#placed
    const { index, pools } = await this.agreement.holdings()(timeoutMs)
    if (epoch !== this.epoch) return
    const views = new Map(pools.map((view) => [view.pool, view]))
    const adopted = Array.from(this.pools.values(), (pool) =>
      this.#adopt(views.get(pool.key) ?? pool.nothing(index)),
    )
    await Promise.all(adopted)
    // The answer of a command that is under way, or was, may be about to make a pool ours.
    if (placed !== this.#placed || this.#placing.size > 0) return
    for (const view of pools) if (this.pools.get(view.pool) === undefined) await this.#return(view)
  }

  /** Hands an address out; on the disk when it resolves, undone when it fails. */
  lease(pool: LocalPool, offset: number, lease: Lease): Promise<void> {
    const before = pool.leases.get(offset)
    return this.writer.write([pool.lease(offset, lease)], () =>
      pool.revertLease(offset, lease, before, this.#ports.clock.now()),
    )
  }

  /** Frees an address that was handed out or set aside here; one that was not is fine. */
  async free(pool: LocalPool, ip: Ip): Promise<void> {
    const offset = pool.offset(ip)
    const changes = pool.withoutReserved(ip)
    if (offset !== null && changes.length > 0) pool.unreserving.add(offset)
    if (offset !== null && pool.leases.get(offset) !== undefined) {
      changes.push(pool.unlease(offset, this.#ports.clock.now()))
    }
    await this.writer.write(changes)
    if (pool.owed.loans.length + pool.unreserving.size > 0) this.#soon(() => this.flush(pool))
  }

  /** An endpoint of a live member that has an address, perhaps without having asked for it. */
  claimant(pool: LocalPool, ip: Ip): Claimant | undefined {
    return this.#ports.cluster.claimants(pool.key, ip).find(({ live }) => live)
  }

  /** Whether an address that is not leased here is not to be handed out either. */
  isBlocked(pool: LocalPool, offset: number): boolean {
    if (pool.isSetAside(offset) || pool.busy.has(offset)) return true
    return this.claimant(pool, pool.addressAt(offset)) !== undefined
  }

  /** Releases what is given up of the pool, once that is on the disk. */
  async flush(pool: LocalPool, deadline = this.#deadline): Promise<void> {
    await this.writer.durable()
    const { blocks, loans } = pool.owed
    const what = `back what is free of pool ${pool.key}`
    if (blocks.length + loans.length > 0) {
      await this.submit(what, deadline, this.agreement.release(pool.key, blocks, loans))
    }
    for (const offset of pool.unreserving) {
      const command = this.agreement.unreserve(pool.key, offset)
      const outcome = await this.submit(what, deadline, command)
      if ('ok' in outcome || outcome.refused.code === 'NOT_HELD') pool.unreserving.delete(offset)
    }
  }

  /** Gives idle blocks back; resolves with how many, when it is agreed. */
  async releaseBlocks(
    pool: LocalPool,
    indices: readonly number[],
    deadline = this.#deadline,
  ): Promise<number> {
    const idle = new Set(pool.idleBlocks())
    const freed = indices.filter((index) => idle.has(index))
    if (freed.length === 0) return 0
    await this.writer.write(freed.map((index) => pool.giveUp(index)))
    await this.flush(pool, deadline)
    return freed.length
  }

  /** Lets go of a pool with all that this host has of it. On this host's disk when it resolves. */
  async drop(pool: LocalPool): Promise<void> {
    const now = this.#ports.clock.now()
    const changes = [pool.set(null)]
    for (const [offset] of pool.leases.entries()) changes.push(pool.unlease(offset, now))
    for (const index of pool.blocks.keys()) changes.push(pool.giveUp(index))
    this.forget(pool)
    await this.writer.write(changes)
    this.#soon(() => this.flushDropped())
  }

  /** The pool is held no more; the voters are told once the disk has that. */
  forget(pool: LocalPool): void {
    if (this.pools.get(pool.key) === pool) this.pools.delete(pool.key)
    if (pool.grant > 0) this.#dropped.set(pool.key, pool.grant)
  }

  /** Tells the voters of pools that are held no more. Fails with STORE or QUORUM. */
  async flushDropped(): Promise<void> {
    await this.writer.durable()
    for (const [key, grant] of this.#dropped) {
      await this.agreement.releasePool(key, grant)(backgroundMs)
      if (this.#dropped.get(key) === grant) this.#dropped.delete(key)
    }
  }

  /** The voters have something for us that we do not want: an answer was lost, or a release. */
  async #return({ pool, held, blocks, loans }: PoolView): Promise<void> {
    await this.writer.durable()
    if (parsePoolKey(pool)?.kind === 'engine' || this.pools.get(pool) !== undefined) return
    if (held !== null) await this.agreement.releasePool(pool, held)(backgroundMs)
    else {
      const command = this.agreement.release(pool, blocks, loans)
      await this.membership.submit('back', this.#deadline, command)
    }
  }

  get #deadline(): number {
    return this.#ports.clock.now() + backgroundMs
  }

  /** Without waiting; what fails is done again by maintenance. */
  #soon(work: () => Promise<void>): void {
    void attempt(work, (error) => this.#ports.logger.debug('to be tried again', { error }))
  }

  #loseAll(): void {
    this.epoch++
    this.#dropped.clear()
    const changes = [...this.pools.values()].flatMap((pool) => pool.loseAll())
    this.#soon(() => this.writer.write(changes))
  }
}
