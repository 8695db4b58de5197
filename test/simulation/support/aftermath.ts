/** What must hold of a world when its trouble is over. */
import type { ClusterStatus } from '../../../src/cluster/cluster-status.ts'
import type { Host, World } from './world.ts'

/** The hosts that run, each with what it says of itself. */
export function statuses(world: World): { host: Host; status: ClusterStatus }[] {
  return world.up.map((host) => ({ host, status: host.cluster!.status() }))
}

/**
 * What members keep of others after a quiet time, and do not need; `late`: also what only a day
 * forgets.
 */
export function leftovers(world: World, late = false): string[] {
  const found: string[] = []
  const all = statuses(world)
  const note = (host: Host, what: string, count: number): void => {
    if (count !== 0) found.push(`${host.name}: ${count} ${what}`)
  }
  for (const { host, status } of all) {
    note(host, 'hidden records', status.records.hidden)
    note(host, 'origins too many', status.origins - world.up.length)
    note(host, 'origins incomplete', status.incomplete)
    note(host, 'changes unpublished', status.unpublished)
    note(host, 'tombstones', status.tombstones)
    if (late) note(host, 'epoch tombstones', status.epochTombstones)
    note(host, 'root that differs', status.root === all[0]!.status.root ? 0 : 1)
  }
  return found
}

/** Throws when anything was found, with what had happened before. */
export function assertNone(what: string, found: readonly string[], history: string): void {
  if (found.length > 0) throw new Error([`${what}:`, ...found, 'after', history].join('\n'))
}
