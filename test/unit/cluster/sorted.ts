import type { OriginLog } from '../../../src/cluster/log/origin-log.ts'

/** A log's live records by id, so that two logs can be compared. */
export function sorted(log: OriginLog): (readonly [string, string])[] {
  return [...log.live()].sort(([a], [b]) => (a < b ? -1 : 1))
}
