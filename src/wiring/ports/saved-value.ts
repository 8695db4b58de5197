import type { Store } from '../../store/store.ts'

/** One row of the store, as a room sees it that keeps a single value. */
interface SavedValue<T> {
  /** Undefined when nothing was saved yet. */
  load(): T | undefined
  /** Durable once it resolves. Rejects with STORE when the disk does not take it. */
  save(value: T): Promise<void>
}

export function savedValue<T>(store: Store, table: string, key: string): SavedValue<T> {
  return {
    load: () => store.get<T>(table, key),
    save: (value) => store.write([{ table, key, value }]),
  }
}
