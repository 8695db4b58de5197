import { messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import type { IpamStore, StoreChange } from './ports.ts'

/** Reverts in memory what a refused write said, and gives the rows as they are then. */
type Revert = () => readonly StoreChange[]

/** A caller that waits until all that was written so far is on the disk. */
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
 * the order they were made in, one group at a time. What it refuses is owed, and goes in one piece
 * with the next write; so a write resolves when everything before it is on the disk too. Nothing
 * may leave this host that follows from memory before `durable()`: then a crash at any moment
 * reverts only what nobody was told.
 *
 * A request that is answered with the refusal gives a `revert`: for its caller nothing has
 * happened. What is given up has none. It stays given up, is told to nobody while it is owed, and
 * is ours again if we crash before.
 */
export class DurableWriter implements IpamStore {
  readonly #store: IpamStore
  readonly #logger: Logger
  /** By table and key the newest row that is neither on the disk nor on its way. */
  #owed = new Map<string, StoreChange>()
  #waiting: Waiting[] = []
  #busy = false
  #refused = false

  constructor(store: IpamStore, logger: Logger) {
    this.#store = store
    this.#logger = logger
  }

  /** The row on the disk; memory may be ahead of it, so this is for a start. */
  get<T>(table: string, key: string): T | undefined {
    return this.#store.get(table, key)
  }

  /** The rows on the disk; memory may be ahead of them, so this is for a start. */
  entries<T>(table: string): [string, T][] {
    return this.#store.entries(table)
  }

  /**
   * Resolves when these rows, and all before them, are on the disk. Fails with STORE; then `revert`
   * has run.
   */
  write(changes: readonly StoreChange[], revert: Revert | null = null): Promise<void> {
    this.#owe(changes)
    return this.#settle(revert)
  }

  /**
   * Resolves when all that was written so far is on the disk; tries again what it refused. Fails
   * with STORE.
   */
  durable(): Promise<void> {
    return this.#settle(null)
  }

  #owe(changes: readonly StoreChange[]): void {
    for (const change of changes) this.#owed.set(`${change.table} ${change.key}`, change)
  }

  #settle(revert: Revert | null): Promise<void> {
    if (this.#owed.size === 0 && !this.#busy) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#waiting.push({ revert, resolve, reject })
      if (!this.#busy) void this.#work()
    })
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
      const consequence = 'no address is handed out and nothing given back is told to others'
      this.#logger.warn(`${consequence} until they can be written down`, {
        error: messageOf(error),
      })
    }
  }
}
