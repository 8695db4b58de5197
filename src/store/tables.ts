import { assert } from '../base/errors.ts'
import type { StoreChange } from './store.ts'

/** One change as it stands in a journal: the value as JSON, null to remove the row. */
export interface TextChange {
  readonly table: string
  readonly key: string
  readonly json: string | null
}

/** The changes with their values as JSON; later mutations have no effect. */
export function textChanges(changes: readonly StoreChange[]): TextChange[] {
  return changes.map(({ table, key, value }) => {
    if (value === null) return { table, key, json: null }
    // The declared type leaves out that values without a JSON form give undefined.
    const json = JSON.stringify(value) as string | undefined
    assert(json !== undefined, `the value of ${table} ${key} has no form in JSON`)
    return { table, key, json }
  })
}

/** Rows in memory, each as its JSON text, so that no caller can change one by mutating a value. */
export class Tables {
  readonly #tables = new Map<string, Map<string, string>>()

  get<T>(table: string, key: string): T | undefined {
    const json = this.#tables.get(table)?.get(key)
    return json === undefined ? undefined : (JSON.parse(json) as T)
  }

  entries<T>(table: string): [string, T][] {
    return [...(this.#tables.get(table) ?? [])].map(([key, json]) => [key, JSON.parse(json) as T])
  }

  apply(changes: readonly TextChange[]): void {
    for (const { table, key, json } of changes) {
      const rows = this.#tables.get(table) ?? new Map<string, string>()
      if (json === null) rows.delete(key)
      else rows.set(key, json)
      if (rows.size === 0) this.#tables.delete(table)
      else this.#tables.set(table, rows)
    }
  }

  /** Every row as the change that makes it. */
  rows(): TextChange[] {
    return [...this.#tables].flatMap(([table, rows]) =>
      [...rows].map(([key, json]) => ({ table, key, json })),
    )
  }
}
