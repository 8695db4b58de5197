import type { HostView } from '../../../src/wiring/views.ts'
import { print, printTable, toned } from './output.ts'

export type Views = Readonly<Record<string, HostView | null>>

/** A thing that hosts have different values of. */
export interface Difference {
  readonly what: string
  /** The value of each host that has one. */
  readonly values: Readonly<Record<string, string>>
}

/** Where the hosts' views differ. Versions may: a cluster is upgraded host by host. */
export function differencesOf(views: Views): Difference[] {
  const facts = new Map<string, Record<string, string>>()
  for (const [host, view] of Object.entries(views)) {
    const add = (what: string, value: string): void => {
      facts.set(what, { ...facts.get(what), [host]: value })
    }
    if (view === null) {
      add('answer', 'none')
      continue
    }
    add('answer', 'yes')
    add('cluster', view.clusterId)
    add('leader', view.leader ?? 'none')
    add('records', view.root)
    for (const [name, state] of Object.entries(view.members)) add(`state of ${name}`, state)
    for (const [id, { vni, mtu, endpoints }] of Object.entries(view.overlays)) {
      add(`VNI of ${id}`, String(vni))
      add(`MTU of ${id}`, String(mtu))
      add(`containers on ${id}`, String(endpoints))
    }
  }
  return [...facts]
    .map(([what, values]) => ({ what, values }))
    .filter(({ values }) => new Set(Object.values(values)).size > 1)
}

export function printDifferences(differences: readonly Difference[]): void {
  if (differences.length === 0) return print(`${toned('OK', 'good')}: all hosts agree`)
  printTable(
    ['WHAT', 'HOSTS'],
    differences.map(({ what, values }) => [
      what,
      [...Map.groupBy(Object.entries(values), ([, value]) => value)]
        .map(([value, hosts]) => `${value}: ${hosts.map(([host]) => host).join(', ')}`)
        .join('; '),
    ]),
  )
}

/** One line for each host: what it says of itself. */
export function printViews(views: Views): void {
  printTable(
    ['HOST', 'VERSION', 'LEADER', 'NETWORKS', 'FINDINGS'],
    Object.entries(views).map(([host, view]) => {
      if (view === null) return [host, { text: 'no answer', tone: 'bad' as const }, '-', '-', '-']
      const { version, leader, overlays, findings } = view
      const codes = findings.map(({ code }) => code).join(' ')
      return [host, version, leader ?? 'none', Object.keys(overlays).length, codes || '-']
    }),
  )
}
