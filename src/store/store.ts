/*
 * The store: small tables of JSON values on this host's disk that survive a restart.
 *
 * Its invariant: a write that resolved is read back after any crash, whole and in its place among
 * the others; one that did not resolve is there wholly or not at all. What `get` and `entries` give
 * is always what the disk would give.
 *
 * It may not know what the values mean, and it never repairs a damaged file by guessing.
 */

/** One row to put, or with null to remove. */
export interface StoreChange {
  readonly table: string
  readonly key: string
  /** Any JSON value. Reading returns a copy. */
  readonly value: unknown
}

/** Tables of JSON values, by name and key. */
export interface Store {
  /** The value of that row; undefined when there is none. */
  get<T>(table: string, key: string): T | undefined
  /** All rows of a table, in the order in which their keys first came. */
  entries<T>(table: string): [string, T][]
  /**
   * Makes all the changes or none. Durable once it resolves. Throws STORE, having changed nothing
   * that `get` shows, when the disk does not take it.
   */
  write(changes: readonly StoreChange[]): Promise<void>
}
