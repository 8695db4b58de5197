import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { IpamStore, StoreChange } from './ports.ts'

/** Reverts in memory what a refused write said, and gives the rows as they are then. */
type Revert = () => readonly StoreChange[]

interface Waiting {
  readonly revert: Revert | null
  readonly resolve: () => void
  readonly reject: (reason: unknown) => void
}

/**
 * Stands between memory and the disk. Memory changes first, so that two requests never take the
 * same address; the disk follows, and may refuse when it is full.
 *
 * The rule: the disk always has memory as it was at some earlier moment, whole. Writes reach it in
 * their order, one group at a time; what it refuses is owed, and goes with the next write. Nothing
 * may leave this host that follows from memory before `durable()`: then a crash reverts only what
 * nobody was told. A request that is answered with the refusal gives a `revert`: for its caller
 * nothing has happened. What is given up has none: it is told to nobody while it is owed.
 */
export class DurableWriter {
  readonly #store: Pick<IpamStore, 'write'>
  readonly #logger: Logger
  /** By table and key the newest row that is neither on the disk nor on its way. */
  #owed = new Map<string, StoreChange>()
  #waiting: Waiting[] = []
  #busy = false
  #refused = false

  constructor(store: Pick<IpamStore, 'write'>, logger: Logger) {
    this.#store = store
    this.#logger = logger
  }

  /** Resolves when these rows, and all before them, are on the disk. Fails with STORE. */
  write(changes: readonly StoreChange[], revert: Revert | null = null): Promise<void> {
    this.#owe(changes)
    if (this.#owed.size === 0 && !this.#busy) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#waiting.push({ revert, resolve, reject })
      if (!this.#busy) void this.#work()
    })
  }

  /** The same for all that was written so far; tries again what the disk refused. */
  durable(): Promise<void> {
    return this.write([])
  }

  #owe(changes: readonly StoreChange[]): void {
    for (const change of changes) this.#owed.set(`${change.table} ${change.key}`, change)
  }

  async #work(): Promise<void> {
    this.#busy = true
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      const rows = this.#owed
      this.#waiting = []
      this.#owed = new Map()
      try {
        if (rows.size > 0) await this.#store.write([...rows.values()])
        this.#tell(null)
        for (const { resolve } of group) resolve()
      } catch (error) {
        // What was written meanwhile is newer, and what is taken back now newer still.
        this.#owed = new Map([...rows, ...this.#owed])
        for (const { revert } of group) if (revert !== null) this.#owe(revert())
        this.#tell(error)
        for (const { reject } of group) reject(error)
      }
    }
    this.#busy = false
  }

  /** Says once that the disk refuses, and once that it has everything again. */
  #tell(error: unknown): void {
    if ((error !== null) === this.#refused) return
    this.#refused = error !== null
    if (error === null) this.#logger.info('addresses can be written down again')
    else {
      const effect = 'no address is handed out and nothing given back is told to others'
      const why = { error: messageOf(error) }
      this.#logger.warn(`${effect} until they can be written down`, why)
    }
  }
}
