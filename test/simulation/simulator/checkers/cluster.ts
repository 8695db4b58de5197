import type { AnyRecord } from '../../../../src/cluster/wire/record-type.ts'
import type { Plugin } from '../../../../src/plugin.ts'
import { recordTypes } from '../../../../src/wiring/records.ts'
import { type Checker, differences } from './checker.ts'

/** Every host has exactly the records that their owners have put. */
export const cluster: Checker = {
  name: 'cluster',
  check: (hosts) => {
    const plugins = hosts.flatMap(({ process }) => process?.plugin ?? [])
    const truth = new Map(plugins.flatMap((plugin) => [...recordsOf(plugin, true)]))
    const lines = plugins.flatMap((plugin) =>
      differences(
        `records at ${plugin.cluster.members()[0]!.name}`,
        recordsOf(plugin, false),
        truth,
      ),
    )
    const roots = new Set(plugins.map((plugin) => plugin.cluster.status().root))
    return roots.size <= 1 ? lines : [...lines, `there are ${roots.size} different roots`]
  },
}

/** By owner, kind and content; of the plugin's host alone, or of all. */
function recordsOf(plugin: Plugin, own: boolean): Map<string, string> {
  const found = new Map<string, string>()
  for (const type of recordTypes)
    for (const { origin, self, record } of plugin.cluster.records<AnyRecord>(type))
      if (self || !own) found.set(`${origin} ${JSON.stringify(record)}`, 'there')
  return found
}
