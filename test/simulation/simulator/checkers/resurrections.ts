import { endpointRecord } from '../../../../src/cluster/wire/endpoint-record.ts'
import type { Plugin } from '../../../../src/plugin.ts'
import type { Host } from '../host.ts'

/**
 * Watches that nothing deleted comes back: an endpoint whose live owner told a host that it is gone is never told to the
 * same process again, unless its owner has put it again. Endpoints' ids are never used twice.
 *
 * An owner that restarted tells it with the whole log of its new epoch. What is not shown any more while a part of that
 * log is missing was not deleted (docs/cluster-state.md, "Restart").
 */
export function watchResurrections(
  plugin: Plugin,
  host: string,
  hostOf: (name: string) => Host | undefined,
  onViolation: (what: string) => void,
): void {
  /** By endpoint, how often its owner had been started when it was deleted. */
  const deleted = new Map<string, number>()
  plugin.cluster.onTransitions((batch) => {
    for (const { origin, address, previous, next, live } of batch) {
      const record = next ?? previous
      if (!endpointRecord.is(record)) continue
      const key = endpointRecord.keyOf(record)
      const owner = hostOf(origin)
      if (owner === undefined) continue
      const isDeleted = next === null && live && plugin.cluster.hasAllOf(address)
      if (isDeleted) deleted.set(`${origin} ${key}`, owner.starts)
      const isBack = next !== null && deleted.get(`${origin} ${key}`) === owner.starts
      if (isBack && owner.isUp && !hasPut(owner, key))
        onViolation(`${host}: endpoint ${key} of ${origin} was deleted and came back`)
    }
  })
}

function hasPut(owner: Host, key: string): boolean {
  for (const { self, record } of owner.process?.plugin?.cluster.records(endpointRecord) ?? []) {
    // A host's own come first.
    if (!self) return false
    if (endpointRecord.keyOf(record) === key) return true
  }
  return false
}
