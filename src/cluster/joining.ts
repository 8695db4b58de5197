/** Joining: contacts the seeds and waits for the initial sync, up to a limit. */
import type { Clock } from '../base/clock.ts'
import { withDeadline } from '../base/deadline.ts'
import { OverlayError, failure, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { InitialSync } from './sync/initial-sync.ts'
import type { GossipTransport } from './gossip/gossip-transport.ts'

interface JoiningParts {
  readonly clock: Clock
  readonly logger: Logger
  readonly gossip: GossipTransport
  readonly initialSync: InitialSync
  readonly joinBoundMs: number
}

export class Joining {
  readonly #parts: JoiningParts
  #whenSynced: (() => void)[] = []

  constructor(parts: JoiningParts) {
    this.#parts = parts
  }

  /** As `Cluster.join`, without the publishing. */
  async join(seeds: readonly string[]): Promise<void> {
    const { clock, initialSync, joinBoundMs } = this.#parts
    const synced = new Promise<void>((resolve) => {
      if (initialSync.done) resolve()
      else this.#whenSynced.push(resolve)
    })
    const contacting = this.#contact(seeds)
    try {
      await withDeadline(clock, joinBoundMs, 'joining', Promise.all([synced, contacting]))
    } catch (error) {
      const late = error instanceof OverlayError && error.code === 'DEADLINE'
      const why = late
        ? `no exchange of state within ${joinBoundMs} ms; still trying`
        : messageOf(error)
      throw failure('MEMBER_AWAY', `joining ${seeds.join(', ')}: ${why}`, error)
    }
  }

  /** The first exchange of state is done. */
  onSynced(): void {
    for (const resolve of this.#whenSynced) resolve()
    this.#whenSynced = []
  }

  async #contact(seeds: readonly string[]): Promise<void> {
    const { gossip, logger, initialSync } = this.#parts
    if (seeds.length === 0) return initialSync.skip()
    const { contacted, own, errors } = await gossip.join(seeds)
    for (const error of errors) logger.warn(`a seed does not answer, trying on: ${error.message}`)
    // Only a host whose seeds are all itself may found a cluster: other members may be away.
    if (own > 0 && contacted === 0 && errors.length === 0) initialSync.skip()
  }
}
