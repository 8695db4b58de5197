import type { StoreChange } from './store.ts'

/** What a step is given to read: the rows as the format before had them. */
interface Readable {
  get<T>(table: string, key: string): T | undefined
  entries<T>(table: string): [string, T][]
}

/** The changes that turn the rows of one format into those of the next. Pure. */
export type Migration = (rows: Readable) => readonly StoreChange[]

/**
 * One step for each format that there was before the present one, the oldest first: the first makes
 * format 2 of format 1. A step is added whenever a version could not read the rows of the one
 * before, and is never changed afterwards.
 */
export const migrations: readonly Migration[] = []

/** The number of the format that these steps lead to. */
export function formatAfter(steps: readonly Migration[]): number {
  return steps.length + 1
}

/** The format that this version writes. */
export const presentFormat = formatAfter(migrations)
