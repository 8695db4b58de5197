import type { AskedHost, PingReport } from '../../../src/wiring/diagnosis/diagnosis.ts'
import { printTable, printWrapped, print, toned } from './output.ts'
import { type Facts, hostChecks } from './doctor-host.ts'
import { pingTroubles } from './ping.ts'
import { type Status, troublesOf } from './status-view.ts'

/** Hosts that are probed; of more, the first ones. */
export const maxPinged = 10
/** Clocks that differ by more break certificates soon, ms. */
const maxSkewMs = 2000

/** Wrong: containers are hurt. Warning: they may be, or under load. */
export type Level = 'ok' | 'warning' | 'wrong'

/** One thing that was looked at. */
export interface Check {
  /** The host, or `cluster`. */
  readonly host: string
  readonly what: string
  readonly level: Level
  readonly found: string
  /** What to do; null when nothing is. */
  readonly remedy: string | null
}

interface Examined {
  readonly status: Status
  readonly hosts: Readonly<Record<string, AskedHost | null>>
  readonly pings: readonly PingReport[]
  /** The names of this host's plugins, as `docker plugin ls` has them; null when it cannot say. */
  readonly plugins: readonly string[] | null
}

/** All checks of the cluster and of each host. A pure function of what was asked. */
export function checksOf({ status, hosts, pings, plugins }: Examined): Check[] {
  return [
    ...troubleChecks(status),
    ...Object.entries(hosts).flatMap(([host, asked]) =>
      asked === null ? [away(host)] : hostChecks(asked, sameOnAll(hosts)),
    ),
    ...pings.flatMap(pingChecks),
    ...clockChecks(hosts),
    ...versionChecks(hosts),
    ...nameChecks(status),
    ...leftoverChecks(status),
    ...(plugins === null ? [] : [pluginCheck(status, plugins)]),
  ]
}

function ok(host: string, what: string, found: string): Check {
  return { host, what, level: 'ok', found, remedy: null }
}

/** What `status` tells. */
function troubleChecks(status: Status): Check[] {
  const troubles = troublesOf(status)
  if (troubles.length === 0) return [ok('cluster', 'findings', 'none')]
  return troubles.map(({ text: found, remedy }) => {
    return { host: status.member, what: 'finding', level: 'wrong', found, remedy }
  })
}

function away(host: string): Check {
  const remedy = 'is its plugin of an older release, or stopped? "docker plugin ls" there'
  return { host, what: 'plugin', level: 'wrong', found: 'does not answer', remedy }
}

function pingChecks(ping: PingReport): Check[] {
  const what = 'ports'
  const troubles = pingTroubles(ping)
  if (troubles.length === 0)
    return [ok(ping.member, what, `gossip and ${ping.vxlan.length} tunnels answer`)]
  return troubles.map(({ text: found, remedy }) => {
    return { host: ping.member, what, level: 'wrong', found, remedy }
  })
}

function clockChecks(hosts: Examined['hosts']): Check[] {
  return Object.entries(hosts).flatMap(([host, asked]) => {
    if (asked === null) return []
    const { skewMs, skewErrorMs } = asked
    const off = Math.abs(skewMs) - skewErrorMs
    if (off <= maxSkewMs) return [ok(host, 'clock', `${skewMs} ms from this host’s`)]
    const found = `${(skewMs / 1000).toFixed(1)} s from this host’s clock`
    const remedy = 'synchronize the clocks: "timedatectl set-ntp true", or chrony'
    return [{ host, what: 'clock', level: 'wrong' as const, found, remedy }]
  })
}

function versionChecks(hosts: Examined['hosts']): Check[] {
  const versions = new Set(Object.values(hosts).flatMap((asked) => asked?.version ?? []))
  const found = [...versions].toSorted().join(', ')
  if (versions.size <= 1) return [ok('cluster', 'versions', found)]
  const remedy = 'upgrade the rest, host by host'
  return [{ host: 'cluster', what: 'versions', level: 'warning', found, remedy }]
}

/** Containers of one name on one network: the name resolves to all of them. */
function nameChecks({ member, overlays }: Status): Check[] {
  const duplicates = overlays.flatMap(({ overlayId, endpoints, peers }) => {
    const all = [
      ...endpoints.map(({ names }) => ({ host: member, name: names[0] })),
      ...peers.map(({ member: host, names }) => ({ host, name: names[0] })),
    ]
    return [...Map.groupBy(all, ({ name }) => name)].flatMap(([name, some]) =>
      name === undefined || some.length === 1 ? [] : [{ overlayId, name, some }],
    )
  })
  if (duplicates.length === 0) return [ok('cluster', 'container names', 'each is there once')]
  return duplicates.map(({ overlayId, name, some }) => ({
    host: some.map(({ host }) => host).join(', '),
    what: 'container names',
    level: 'warning',
    found: `${name} is on ${overlayId} ${some.length} times: the name resolves to all of them`,
    remedy: 'rename all but one, unless that is what you want',
  }))
}

function leftoverChecks({ member, orphans }: Status): Check[] {
  const { waiting } = orphans
  if (waiting.length === 0) return [ok(member, 'leftovers', 'none')]
  const kinds = [...Map.groupBy(waiting, ({ kind }) => kind)]
  const found = kinds.map(([kind, some]) => `${some.length} of the kind ${kind}`).join(', ')
  const remedy = 'nothing: they are released after ORPHAN_AFTER'
  return [{ host: member, what: 'leftovers', level: 'warning', found, remedy }]
}

/** The engine finds a plugin of that name before the socket that serves `-d ts-overlay`. */
function pluginCheck({ member }: Status, plugins: readonly string[]): Check {
  const what = 'plugin name'
  if (!plugins.includes('ts-overlay:latest')) return ok(member, what, '-d ts-overlay works')
  const found =
    '-d ts-overlay fails ("could not resolve driver"): installed with --alias ts-overlay'
  const remedy =
    'install it without --alias, or use -d ts-overlay:latest and the same --ipam-driver'
  return { host: member, what, level: 'wrong', found, remedy }
}

/** What hosts have to agree on, as most of them have it. */
function sameOnAll(hosts: Examined['hosts']): Facts {
  const all = Object.values(hosts).filter((asked) => asked !== null)
  return { underlayMtus: all.flatMap(({ underlayMtu }) => underlayMtu ?? []) }
}

export function printChecks(checks: readonly Check[], { all }: { readonly all: boolean }): void {
  const bad = checks.filter(({ level }) => level !== 'ok')
  const good = checks.length - bad.length
  const shown = all ? checks : bad
  if (shown.length > 0)
    printTable(
      ['HOST', 'CHECK', 'STATE', 'FOUND'],
      shown.map(({ host, what, level, found }) => [
        host,
        what,
        level === 'ok' ? { text: 'ok', tone: 'good' } : { text: level.toUpperCase(), tone: 'bad' },
        found,
      ]),
    )
  for (const { host, what, remedy } of bad)
    printWrapped(`! ${host}, ${what}: ${remedy ?? ''}`, 'bad')
  const rest = `${good} checks are well`
  print(bad.length === 0 ? `${toned('OK', 'good')}: ${rest}` : rest)
}
