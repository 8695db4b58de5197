import { backoffMs } from '../../base/backoff.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import { type OverlayError, failure, isBug, messageOf } from '../../base/errors.ts'
import type { KeyedQueue } from '../../base/keyed-queue.ts'
import type { Logger } from '../../base/logger.ts'
import type { Dataplane } from '../dataplane.ts'
import { kernelRetry } from './kernel-retry.ts'

interface RemovalParts {
  readonly dataplane: Dataplane
  readonly clock: Clock
  readonly logger: Logger
}

/**
 * Removes overlays from the kernel, and goes on trying when that fails: the engine asks once, and what
 * stays behind would hold its VNI. An overlay that is wanted again in the meantime is left alone, and so is
 * one that a container is attached to, until that is gone: who asks has no endpoint there, but another
 * installation of the plugin may, which is disabled while its containers go on.
 */
export class OverlayRemover {
  readonly #parts: RemovalParts
  readonly #queue: KeyedQueue
  readonly #isWanted: (overlayId: string) => boolean
  readonly #timers = new Set<Timer>()
  /** What was last said of an overlay. */
  readonly #said = new Map<string, string>()
  #stopped = false

  constructor(parts: RemovalParts, queue: KeyedQueue, isWanted: (overlayId: string) => boolean) {
    this.#parts = parts
    this.#queue = queue
    this.#isWanted = isWanted
  }

  /** To be called in the overlay's queue. Rejects when it fails now, and goes on trying. */
  async remove(overlayId: string, failuresBefore = 0): Promise<void> {
    const { dataplane } = this.#parts
    try {
      const attached = (await dataplane.dump(overlayId))?.endpoints.filter(
        ({ inHostNetns }) => !inHostNetns,
      )
      if (attached !== undefined && attached.length > 0) throw inUse(overlayId, attached.length)
      await dataplane.removeOverlay(overlayId)
      this.#said.delete(overlayId)
    } catch (error) {
      if (!this.#stopped && !isBug(error)) this.#tryLater(overlayId, failuresBefore)
      throw error
    }
  }

  /** Ends the trying. */
  stop(): void {
    this.#stopped = true
    for (const timer of this.#timers) this.#parts.clock.clearTimeout(timer)
    this.#timers.clear()
  }

  #tryLater(overlayId: string, failuresBefore: number): void {
    const timer = this.#parts.clock.setTimeout(
      () => {
        this.#timers.delete(timer)
        void this.#queue.run(overlayId, () => this.#tryAgain(overlayId, failuresBefore + 1))
      },
      backoffMs(kernelRetry, failuresBefore),
    )
    this.#timers.add(timer)
  }

  async #tryAgain(overlayId: string, failuresBefore: number): Promise<void> {
    if (this.#stopped || this.#isWanted(overlayId)) return
    try {
      await this.remove(overlayId, failuresBefore)
    } catch (error) {
      if (isBug(error)) throw error
      const message = messageOf(error)
      if (this.#said.get(overlayId) !== message) this.#parts.logger.warn(message)
      this.#said.set(overlayId, message)
    }
  }
}

function inUse(overlayId: string, containers: number): OverlayError {
  return failure(
    'KERNEL',
    `overlay ${overlayId} is left as it is while containers are attached to it (${containers}) that this ` +
      'plugin does not know: enable the plugin that started them, or remove them',
  )
}
