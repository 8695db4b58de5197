/**
 * The epoch in which this member publishes. It is the wall-clock time of its start in milliseconds,
 * but its correctness does not rest on the clock: it is above the last one on disk, and when others
 * know of a higher one (the disk was lost and the clock set back), it is raised above that and all
 * records are written again.
 */
import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Replica } from './replica.ts'

/**
 * Epochs are below it, in 48 bits. No clock makes one so near the end, and its owner could not rise
 * above it.
 */
export const epochLimit = 2 ** 48 - 2 ** 16

/** The last epoch, on disk; `save` resolves when it is durable. */
export interface EpochStore {
  load(): number | undefined
  save(epoch: number): Promise<void>
}

export class OwnEpoch {
  readonly #ports: { clock: Clock; logger: Logger; store: EpochStore; replica: Replica }
  #raising = false

  constructor(ports: { clock: Clock; logger: Logger; store: EpochStore; replica: Replica }) {
    this.#ports = ports
  }

  /** Begins a new epoch. Rejects when it cannot be written to disk. */
  async begin(): Promise<void> {
    const { clock, store, replica } = this.#ports
    const epoch = Math.max(Math.floor(clock.wall()), (store.load() ?? 0) + 1)
    await store.save(epoch)
    replica.startEpoch(epoch, clock.now())
  }

  /**
   * Others know records of ours from the epoch `seen`, which we lack. Whether ours is above now.
   */
  async raiseAbove(seen: number): Promise<boolean> {
    const { clock, logger, store, replica } = this.#ports
    if (this.#raising || seen + 1 >= epochLimit) return false
    this.#raising = true
    const epoch = Math.max(seen, replica.self.log.epoch) + 1
    logger.info('own records are known from another run; writing them again', { seen, epoch })
    await store
      .save(epoch)
      .catch((error: unknown) => logger.warn(`epoch ${epoch} is not on disk: ${messageOf(error)}`))
    this.#raising = false
    replica.startEpoch(epoch, clock.now())
    return true
  }
}
