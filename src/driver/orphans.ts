import type { Clock, Timer } from '../base/clock.ts'
import { isBug, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { type Orphan, type OrphanKind, orphanId } from './orphan-rules.ts'

/**
 * Releases what nothing uses and the engine has forgotten, once it has been seen so at every look for a
 * while. The while is what keeps it safe: a call that is under way looks like an orphan for a moment,
 * and an engine moves a link into its container seconds after Join.
 */

/** Looks that an orphan is seen at before it is released, at the least. */
const scansPerGrace = 4
/**
 * A parked link may wait for a container that starts slowly, because its volumes do: engines up to 27 join
 * first and mount then. It is given this many times the grace.
 */
const gracesOfParked = 5
/** Between two looks, in milliseconds: a look reads the tables of all overlays. */
const minScanIntervalMs = 1000

interface OrphanParts {
  readonly clock: Clock
  readonly logger: Logger
  /** How long something must have looked unused, in milliseconds. */
  readonly graceMs: number
  readonly find: () => Promise<readonly Orphan[]>
  /** Releases it if it still is one. Whether it was. */
  readonly release: (orphan: Orphan) => Promise<boolean>
}

/** For `/status`. */
export interface OrphanStatus {
  /** What looks unused at the moment. */
  readonly waiting: readonly Orphan[]
  /** What was released since the start. */
  readonly released: Readonly<Record<OrphanKind, number>>
}

export class OrphanCollector {
  readonly #parts: OrphanParts
  /** Orphans by id, with the time of the first look that found them. */
  #seen = new Map<string, { readonly orphan: Orphan; readonly sinceMs: number }>()
  readonly #released: Record<OrphanKind, number> = {
    'endpoint-unjoined': 0,
    'endpoint-gone': 0,
    'endpoint-parked': 0,
    link: 0,
    address: 0,
    pool: 0,
    network: 0,
  }
  #timer: Timer | null = null
  #looking: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(parts: OrphanParts) {
    this.#parts = parts
  }

  start(): void {
    const { clock, graceMs } = this.#parts
    this.#timer = clock.setTimeout(
      () => {
        this.#looking = this.#look().finally(() => {
          if (!this.#stopped) this.start()
        })
      },
      Math.max(minScanIntervalMs, graceMs / scansPerGrace),
    )
  }

  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer !== null) this.#parts.clock.clearTimeout(this.#timer)
    await this.#looking
  }

  status(): OrphanStatus {
    const waiting = Array.from(this.#seen.values(), ({ orphan }) => orphan)
    return { waiting, released: { ...this.#released } }
  }

  async #look(): Promise<void> {
    const { clock, graceMs, find } = this.#parts
    const found = await this.#attempt('looking for what nothing uses', find)
    if (found === null) return
    const now = clock.now()
    const before = this.#seen
    this.#seen = new Map(
      found.map((orphan) => {
        const id = orphanId(orphan)
        return [id, { orphan, sinceMs: before.get(id)?.sinceMs ?? now }]
      }),
    )
    for (const [id, { orphan, sinceMs }] of this.#seen)
      if (now - sinceMs >= graceOf(orphan, graceMs) && !this.#stopped)
        await this.#release(id, orphan)
  }

  async #release(id: string, orphan: Orphan): Promise<void> {
    const { logger, release } = this.#parts
    const released = await this.#attempt('releasing what nothing uses', () => release(orphan))
    if (released === null) return
    this.#seen.delete(id)
    if (!released) return
    this.#released[orphan.kind]++
    logger.warn('released what nothing uses and the engine has forgotten', { ...orphan })
  }

  /** What fails is tried again at the next look. */
  async #attempt<T>(what: string, work: () => Promise<T>): Promise<T | null> {
    try {
      return await work()
    } catch (error) {
      if (isBug(error)) throw error
      this.#parts.logger.warn(`${what}: ${messageOf(error)}`)
      return null
    }
  }
}

function graceOf({ kind }: Orphan, graceMs: number): number {
  return kind === 'endpoint-parked' ? gracesOfParked * graceMs : graceMs
}
