import { Every } from '../base/timers.ts'
import { below } from '../base/random.ts'
import type { BlockAllocator } from './blocks/block-allocator.ts'
import type { Holdings } from './holdings.ts'
import type { Duplicates } from './leases/duplicates.ts'
import type { Reclaim } from './leases/reclaim.ts'
import type { IpamPorts } from './ports.ts'
import type { Readiness } from './readiness.ts'

/** A step comes this often once this member is registered, ms. */
const stepMs = 1000
/** And this often before: the first address must not wait long. */
const unregisteredStepMs = 150
/** What is ours is asked for this often although nothing suggests that it changed, ms. */
const syncMs = 60_000
/** Idle blocks are looked for every so many steps. */
const stepsBetweenTrims = 5

interface MaintenanceParts {
  readonly ports: IpamPorts
  readonly holdings: Holdings
  readonly blocks: BlockAllocator
  readonly reclaim: Reclaim
  readonly duplicates: Duplicates
  readonly readiness: Readiness
}

/**
 * What this room does without being asked: renewing the membership, learning what is ours, giving
 * back what is free, asking again for what an eviction took. A step that fails is tried again.
 */
export class Maintenance {
  readonly #parts: MaintenanceParts
  readonly #every: Every
  #syncedAt = -Infinity
  #steps = 0

  constructor(parts: MaintenanceParts) {
    this.#parts = parts
    const { clock, logger, random } = parts.ports
    const { membership } = parts.holdings
    this.#every = new Every({
      clock,
      intervalMs: () => {
        const pause = membership.isRegistered ? stepMs : unregisteredStepMs
        return pause + below(random, pause >> 2)
      },
      run: () => this.#step(),
      warn: (failure) => logger.debug('a step of maintenance failed', { error: failure }),
    })
  }

  start(): void {
    this.#every.start(0)
  }

  async stop(): Promise<void> {
    this.#every.stop()
    await this.#every.idle()
  }

  idle(): Promise<void> {
    return this.#every.idle()
  }

  async #step(): Promise<void> {
    const { blocks, duplicates, holdings, ports, readiness, reclaim } = this.#parts
    const { membership, pools, writer } = holdings
    this.#steps++
    await writer.durable() // what the disk refused is tried again
    if (!membership.isRegistered || membership.lease.isDue) await membership.renew()
    membership.lease.report()
    if (!membership.isRegistered) return
    if (!readiness.isVerified || ports.clock.now() - this.#syncedAt >= syncMs) {
      if (!(await readiness.verify())) return
      this.#syncedAt = ports.clock.now()
    }
    await holdings.flushDropped()
    for (const pool of pools.all()) await holdings.flush(pool)
    await reclaim.step()
    await duplicates.step()
    if (this.#steps % stepsBetweenTrims === 0) await blocks.trim()
  }
}
