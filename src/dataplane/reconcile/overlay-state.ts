import type { Clock } from '../../base/clock.ts'
import { attempt } from '../../base/errors.ts'
import { type Backoff, Timeout, backoffMs } from '../../base/timers.ts'
import type { Ip } from '../../net/ip.ts'
import type { Vni } from '../../net/vni.ts'
import type { EndpointTraffic, FastPathStatus } from '../dataplane.ts'
import type { OverlayRows } from './overlay-rows.ts'

/** Most causes of a refusal by the kernel are over within moments. */
export const kernelRetry: Backoff = { firstMs: 100, maxMs: 10_000 }

interface StateParts {
  readonly clock: Clock
  readonly warn: (message: string) => void
  /** Repeats what failed, in the overlay's queue. */
  readonly retry: () => void
}

/** One overlay's part of the status. */
export interface OverlayStatus {
  readonly overlayId: string
  readonly vni: Vni
  readonly vtep: Ip
  readonly mtu: number
  readonly encrypted: boolean
  /** Whether frames to groups leave this host. */
  readonly multicast: boolean
  /** Endpoints of this host. */
  readonly endpoints: number
  /** Endpoints of others, live or not. */
  readonly peers: number
  /** Rows that the kernel has, as far as is known. */
  readonly fdb: number
  readonly neighbours: number
  /** Frames of containers here that the filter dropped, by reason, as of the last audit. */
  readonly dropped: Readonly<Record<string, number>>
  /** Frames of any overlay that did not come from an admitted VTEP, as of then. */
  readonly tunnelDrops: number
  /** What passed this overlay's VXLAN device since it was made, as of then. */
  readonly traffic: EndpointTraffic | null
  /** Why frames take the bridge, if they do, and what went past it, as of the last audit. */
  readonly fastPath: FastPathStatus | null
  /** Whether all rows are as desired, as far as is known. */
  readonly settled: boolean
  /** Endpoints of this host whose veth pair is gone. */
  readonly missing: readonly string[]
  /** Why the last write failed; null when it succeeded. */
  readonly lastError: string | null
}

/** An overlay that is attached to this host: its rows, and when work that failed is tried again. */
export class OverlayState {
  readonly rows: OverlayRows
  /** Endpoints of this host whose veth pair is gone, as the last audit found. */
  missing: readonly string[] = []
  readonly #parts: StateParts
  readonly #retry: Timeout
  #lastError: string | null = null
  /** Since the last success. */
  #failures = 0

  constructor(rows: OverlayRows, parts: StateParts) {
    this.rows = rows
    this.#parts = parts
    this.#retry = new Timeout(parts.clock, parts.retry)
  }

  /**
   * Runs work. A failure, of a part by what `failureOf` says of the result or of the whole, is
   * logged and retried; of the whole, the result is null. A bug is thrown on.
   */
  async attempt<T>(
    work: () => Promise<T>,
    failureOf: (result: T) => string | null,
  ): Promise<T | null> {
    this.#retry.stop()
    return attempt(
      async () => {
        const result = await work()
        this.#note(failureOf(result))
        return result
      },
      (message) => {
        this.#note(message)
        return null
      },
    )
  }

  scheduleRetry(): void {
    this.#retry.set(backoffMs(kernelRetry, this.#failures++))
  }

  cancelRetry(): void {
    this.#retry.stop()
  }

  status(peers: number): OverlayStatus {
    const { links, endpoints, counts, dropped, tunnelDrops, traffic, fastPath, settled } = this.rows
    const { overlayId, vni, vtep, mtu, encrypted = false, multicast = false } = links
    return {
      overlayId,
      vni,
      vtep,
      mtu,
      encrypted,
      multicast,
      endpoints: endpoints.size,
      peers,
      ...counts,
      dropped,
      tunnelDrops,
      traffic,
      fastPath,
      settled,
      missing: this.missing,
      lastError: this.#lastError,
    }
  }

  #note(failure: string | null): void {
    if (failure === null) this.#failures = 0
    else {
      if (this.#lastError !== failure) this.#parts.warn(failure)
      this.scheduleRetry()
    }
    this.#lastError = failure
  }
}
