import { attempt } from '../base/errors.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Json } from '../cluster/requests.ts'
import type { PluginStatus } from './status.ts'

/** The channel of requests between members. */
const channel = 'view'
const askTimeoutMs = 2000
/** Findings of a member that others are told of. */
const maxFindings = 20

/** What of a member's status has to be the same on all, and what is wrong there. */
export interface HostView {
  readonly version: string
  readonly clusterId: string
  readonly leader: string | null
  /** Hash of all records; equal ones are equal records. */
  readonly root: string
  /** States of the members that are not gone, by name. */
  readonly members: Readonly<Record<string, string>>
  /** Of the overlays that the member takes part in, by id. */
  readonly overlays: Readonly<Record<string, { vni: number; mtu: number; endpoints: number }>>
  readonly findings: readonly { readonly code: string; readonly text: string }[]
}

/** A plugin's view, from its status. */
export function viewOf(status: PluginStatus): HostView {
  const { version, consensus, cluster, members, overlays, findings } = status
  return {
    version,
    clusterId: consensus.clusterId,
    leader: consensus.leader,
    root: cluster.root,
    members: Object.fromEntries(
      members.filter(({ state }) => state !== 'left').map(({ name, state }) => [name, state]),
    ),
    overlays: Object.fromEntries(
      overlays.map(({ overlayId, vni, mtu, endpoints, peers }) => {
        return [overlayId, { vni, mtu, endpoints: endpoints.length + peers.length }]
      }),
    ),
    findings: findings.list.slice(0, maxFindings).map(({ code, text }) => ({ code, text })),
  }
}

/** Answers other members with this one's view. */
export function serveView(cluster: Cluster, view: () => HostView): void {
  cluster.handle(channel, async () => view() as unknown as Json)
}

/** The views of all live members, by name; null of one that does not answer. */
export async function askViews(
  cluster: Cluster,
  own: HostView,
): Promise<Readonly<Record<string, HostView | null>>> {
  const live = cluster.members().filter(({ state }) => state === 'alive' || state === 'suspect')
  const views = live.map(async ({ name, self }) => {
    const ask = () => cluster.request(name, channel, {}, { timeoutMs: askTimeoutMs })
    const view = self ? own : ((await attempt(ask, () => null)) as HostView | null)
    return [name, view] as const
  })
  return Object.fromEntries(await Promise.all(views))
}
