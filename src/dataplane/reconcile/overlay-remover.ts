import type { Clock } from '../../base/clock.ts'
import { type OverlayError, failure, isBug } from '../../base/errors.ts'
import type { KeyedQueue } from '../../base/keyed-queue.ts'
import type { Logger } from '../../base/logger.ts'
import { Retry } from '../../base/timers.ts'
import type { Dataplane } from '../dataplane.ts'
import { kernelRetry } from './overlay-state.ts'

interface RemoverParts {
  readonly dataplane: Dataplane
  readonly clock: Clock
  readonly logger: Logger
  readonly queue: KeyedQueue
  /** Whether the overlay has been attached again. */
  readonly isWanted: (overlayId: string) => boolean
}

/**
 * Removes overlays from the kernel, and retries when that fails: the engine asks once, and what
 * stays behind holds its VNI. An overlay that is wanted again is left alone. So is one with a
 * container attached to it, until that container is gone: the caller has no endpoint there, but
 * another installation of the plugin may, which is disabled while its containers run.
 */
export class OverlayRemover {
  readonly #parts: RemoverParts
  readonly #retries = new Map<string, Retry>()
  #isStopped = false

  constructor(parts: RemoverParts) {
    this.#parts = parts
  }

  /** To be called in the overlay's queue. Rejects when it fails now, and retries later. */
  async remove(overlayId: string): Promise<void> {
    try {
      await this.#remove(overlayId)
    } catch (error) {
      if (!this.#isStopped && !isBug(error)) this.#retryOf(overlayId).schedule()
      throw error
    }
  }

  /** Ends the retries. */
  stop(): void {
    this.#isStopped = true
    for (const retry of this.#retries.values()) retry.stop()
    this.#retries.clear()
  }

  async #remove(overlayId: string): Promise<void> {
    const { dataplane } = this.#parts
    const endpoints = (await dataplane.dump(overlayId))?.endpoints ?? []
    const attached = endpoints.filter(({ inHostNetns }) => !inHostNetns)
    if (attached.length > 0) throw inUse(overlayId, attached.length)
    await dataplane.removeOverlay(overlayId)
    this.#retries.get(overlayId)?.stop()
    this.#retries.delete(overlayId)
  }

  #retryOf(overlayId: string): Retry {
    const known = this.#retries.get(overlayId)
    if (known !== undefined) return known
    const { clock, logger, queue, isWanted } = this.#parts
    const removeUnlessWanted = async (): Promise<void> => {
      if (!this.#isStopped && !isWanted(overlayId)) await this.#remove(overlayId)
    }
    const retry = new Retry({
      clock,
      backoff: kernelRetry,
      run: () => queue.run(overlayId, removeUnlessWanted),
      warn: (message) => logger.warn(message),
    })
    this.#retries.set(overlayId, retry)
    return retry
  }
}

function inUse(overlayId: string, containers: number): OverlayError {
  return failure(
    'KERNEL',
    `overlay ${overlayId} stays: ${containers} containers are attached to it that this plugin does ` +
      'not know; enable the plugin that started them, or remove them',
  )
}
