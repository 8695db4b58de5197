import type { PageContainer, PageFinding, PageView } from '../admin/page-view.ts'
import type { Clock } from '../base/clock.ts'
import type { Cluster } from '../cluster/cluster.ts'
import { endpointRecord } from '../cluster/wire/endpoint-record.ts'
import { namesRecord, networkRecord, overlayRecord } from './records.ts'
import type { PluginStatus } from './status.ts'
import type { HostView } from './views.ts'

/** How long a view is the answer to all who ask, ms. */
const viewLastsMs = 1000
/** Others are asked for what they find at this rate while somebody looks at the page. */
const maxAskedPerSecond = 20
const minAskMs = 3000
const limits = { hosts: 1000, networks: 1000, containers: 5000, paths: 5000, findings: 500 }

type Views = Readonly<Record<string, HostView | null>>

/** Makes what the page shows, at most once a second, whatever the number of browsers. */
export class PageViews {
  readonly #clock: Clock
  readonly #cluster: Cluster
  readonly #status: () => PluginStatus
  readonly #askViews: () => Promise<Views>
  #view: PageView | null = null
  #viewedMs = -Infinity
  #others: Views = {}
  #askedMs = -Infinity

  /** `views`: what the live members say of themselves. */
  constructor(
    clock: Clock,
    cluster: Cluster,
    status: () => PluginStatus,
    views: () => Promise<Views>,
  ) {
    this.#clock = clock
    this.#cluster = cluster
    this.#status = status
    this.#askViews = views
  }

  /** The view now. What other hosts say is that of the last time they were asked. */
  view(): PageView {
    const now = this.#clock.now()
    if (this.#view !== null && now - this.#viewedMs < viewLastsMs) return this.#view
    const status = this.#status()
    this.#viewedMs = now
    this.#view = pageView(status, this.#cluster, this.#others)
    const askMs = Math.max(minAskMs, (status.members.length * 1000) / maxAskedPerSecond)
    if (now - this.#askedMs >= askMs) {
      this.#askedMs = now
      void this.#askViews().then((views) => (this.#others = views))
    }
    return this.#view
  }
}

/** What the cluster's records, this host's status and the other hosts' views have for the page. */
function pageView(status: PluginStatus, cluster: Cluster, views: Views): PageView {
  const omitted: Record<string, number> = {}
  const bounded = <T>(name: keyof typeof limits, list: readonly T[]): readonly T[] => {
    if (list.length > limits[name]) omitted[name] = list.length - limits[name]
    return list.slice(0, limits[name])
  }
  const members = bounded(
    'hosts',
    status.members.filter(({ state }) => state !== 'left'),
  )
  const places = new Map(members.map(({ name }, place) => [name, place]))
  const at = (name: string): number => places.get(name) ?? -1
  const networks = bounded('networks', networksOf(cluster, status, at))
  return {
    version: status.version,
    here: at(status.member),
    hosts: members.map(({ name, address, state, paused, since, rttMs }) => {
      const version = name === status.member ? status.version : (views[name]?.version ?? null)
      return { name, address, state, restarting: paused, since, rttMs, version }
    }),
    networks,
    containers: bounded('containers', containersOf(cluster, networks, at)),
    paths: bounded('paths', pathsOf(status, views, at)),
    findings: bounded('findings', findingsOf(status, views, at)),
    omitted,
  }
}

type PlaceOf = (member: string) => number

function networksOf(cluster: Cluster, status: PluginStatus, at: PlaceOf): PageView['networks'] {
  const names = new Map<string, string | null>()
  for (const { record } of cluster.records(networkRecord))
    if (record.spec !== null) names.set(record.spec.overlayId, record.name)
  for (const { overlayId, name } of status.overlays) if (name !== null) names.set(overlayId, name)
  const networks = new Map<string, PageView['networks'][number] & { hosts: number[] }>()
  for (const { origin, record } of cluster.records(overlayRecord, { hidden: true })) {
    const { overlayId: id, vni, mtu, encrypted, pools } = record
    const known = networks.get(id)
    if (known !== undefined) known.hosts.push(at(origin))
    else {
      const name = names.get(id) ?? null
      networks.set(id, { id, name, vni, mtu, encrypted, subnets: pools, hosts: [at(origin)] })
    }
  }
  return [...networks.values()].toSorted((a, b) => (a.name ?? a.id).localeCompare(b.name ?? b.id))
}

function containersOf(
  cluster: Cluster,
  networks: PageView['networks'],
  at: PlaceOf,
): PageContainer[] {
  const byVni = new Map(networks.map(({ vni }, place) => [vni, place]))
  const names = new Map<string, readonly string[]>()
  for (const { origin, record } of cluster.records(namesRecord, { hidden: true }))
    names.set(`${record.vni}/${record.endpointId}/${origin}`, record.names)
  return Array.from(cluster.records(endpointRecord, { hidden: true }), ({ origin, record }) => ({
    id: record.endpointId,
    host: at(origin),
    network: byVni.get(record.vni) ?? null,
    names: names.get(`${record.vni}/${record.endpointId}/${origin}`)?.slice(0, 4) ?? [],
    ips: record.ips,
    mac: record.mac,
  }))
}

/** This host's paths, and what the others say of theirs. */
function pathsOf({ member, members }: PluginStatus, views: Views, at: PlaceOf): PageView['paths'] {
  const own = members.flatMap(({ name, tunnel }) =>
    tunnel === null ? [] : [{ from: at(member), to: at(name), ...tunnel }],
  )
  const others = Object.entries(views).flatMap(([from, view]) =>
    Object.entries(from === member ? {} : (view?.paths ?? {})).map(([to, path]) => {
      return { from: at(from), to: at(to), ...path }
    }),
  )
  return [...own, ...others].filter(({ from, to }) => from >= 0 && to >= 0)
}

function findingsOf({ member, findings }: PluginStatus, views: Views, at: PlaceOf): PageFinding[] {
  const own = findings.list.map((finding) => ({ host: at(member), ...finding }))
  const others = Object.entries(views).flatMap(([name, view]) =>
    (name === member ? [] : (view?.findings ?? [])).map((finding) => {
      return { host: at(name), ...finding }
    }),
  )
  return [...own, ...others].map(({ host, code, subject, text, remedy, since }) => {
    return { host, code, subject, text, remedy, since }
  })
}
