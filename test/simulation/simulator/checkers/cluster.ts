import type { AnyRecord } from '../../../../src/cluster/wire/record-type.ts'
import type { Plugin } from '../../../../src/plugin.ts'
import { recordTypes } from '../../../../src/wiring/records.ts'
import { type Checker, differences } from './checker.ts'

/** Equal roots are equal replicas, so of many hosts only so many are compared record by record. */
const maxCompared = 10

/** Every host has exactly the records that their owners have put. */
export const cluster: Checker = {
  name: 'cluster',
  check: (hosts) => {
    const plugins = hosts.flatMap(({ process }) => process?.plugin ?? [])
    const roots = new Set(plugins.map((plugin) => plugin.cluster.status().root))
    if (roots.size > 1) return [`there are ${roots.size} different roots`]
    const truth = new Map(plugins.flatMap((plugin) => [...recordsOf(plugin, true)]))
    return plugins.slice(0, maxCompared).flatMap((plugin) => {
      const what = `records at ${plugin.cluster.members()[0]!.name}`
      return differences(what, recordsOf(plugin, false), truth)
    })
  },
}

/** By owner, kind and content; of the plugin's host alone, or of all. */
function recordsOf(plugin: Plugin, own: boolean): Map<string, string> {
  const found = new Map<string, string>()
  for (const type of recordTypes)
    for (const { origin, self, record } of plugin.cluster.records<AnyRecord>(type)) {
      // A host's own come first.
      if (own && !self) break
      found.set(`${origin} ${JSON.stringify(record)}`, 'there')
    }
  return found
}
