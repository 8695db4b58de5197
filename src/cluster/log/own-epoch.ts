/**
 * Under which epoch this member publishes. An epoch is a time in milliseconds, but no clock is trusted
 * with it: it is above the last one on disk, and when others turn out to know of a higher one (the disk
 * was lost and the clock set back), ours is raised above that and everything written again.
 */
import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { epochLimit } from '../../base/bytes.ts'
import type { Replica } from './replica.ts'

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

  /** Begins a run. Rejects when the epoch cannot be written down. */
  async begin(): Promise<void> {
    const { clock, store, replica } = this.#ports
    const epoch = Math.max(Math.floor(clock.wall()), (store.load() ?? 0) + 1)
    await store.save(epoch)
    replica.startEpoch(epoch, clock.now())
  }

  /** Others have records of ours from this epoch that we do not remember. Whether ours is new now. */
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
