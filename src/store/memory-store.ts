import type { Store, StoreChange } from './store.ts'
import { Tables, textChanges } from './tables.ts'

/** A store that ends with the process, for tests and simulations. */
export class MemoryStore implements Store {
  readonly #tables = new Tables()

  get<T>(table: string, key: string): T | undefined {
    return this.#tables.get<T>(table, key)
  }

  entries<T>(table: string): [string, T][] {
    return this.#tables.entries<T>(table)
  }

  async write(changes: readonly StoreChange[]): Promise<void> {
    const texts = textChanges(changes)
    // As with a disk, nothing is to be seen before the write is done.
    await Promise.resolve()
    this.#tables.apply(texts)
  }
}
