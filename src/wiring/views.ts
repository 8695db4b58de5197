import * as v from 'valibot'
import { attempt } from '../base/errors.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { PluginStatus } from './status.ts'

/** The channel of requests between members. */
const channel = 'view'
const askTimeoutMs = 2000
/** Of each: what a member may tell the others. */
const maxFindings = 20
const maxPaths = 50
const maxEntries = 5000
const maxText = 1000

const text = v.pipe(v.string(), v.maxLength(maxText))
const time = v.pipe(v.string(), v.maxLength(30))
const count = v.pipe(v.number(), v.minValue(0))
const byName = <T>(value: v.GenericSchema<unknown, T>) =>
  v.pipe(
    v.record(text, value),
    v.check((record) => Object.keys(record).length <= maxEntries),
  )

const hostView = v.object({
  version: text,
  clusterId: text,
  leader: v.nullable(text),
  /** Hash of all records; equal ones are equal records. */
  root: text,
  /** States of the members that are not gone, by name. */
  members: byName(text),
  /** Of the overlays that the member takes part in, by id. */
  overlays: byName(v.object({ vni: count, mtu: count, endpoints: count })),
  findings: v.pipe(
    v.array(
      v.object({
        code: text,
        text,
        // Earlier releases do not say these.
        subject: v.optional(text, ''),
        remedy: v.optional(text, ''),
        since: v.optional(time, ''),
      }),
    ),
    v.maxLength(maxFindings),
  ),
  /** The tunnels to other members, by name, those with something wrong first. */
  paths: v.optional(
    byName(v.object({ state: text, rttMs: v.nullable(count), bytes: v.nullable(count) })),
    {},
  ),
})

/** What of a member's status has to be the same on all, and what is wrong there. */
export type HostView = Readonly<v.InferOutput<typeof hostView>>

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
    findings: findings.list.slice(0, maxFindings).map(({ code, subject, text, remedy, since }) => {
      return { code, subject, text: cut(text), remedy: cut(remedy), since }
    }),
    paths: Object.fromEntries(
      members
        .flatMap(({ name, tunnel }) => (tunnel === null ? [] : [[name, tunnel] as const]))
        .toSorted(([, a], [, b]) => Number(a.state === 'up') - Number(b.state === 'up'))
        .slice(0, maxPaths),
    ),
  }
}

function cut(words: string): string {
  return words.slice(0, maxText)
}

/** Answers other members with this one's view. */
export function serveView(cluster: Cluster, view: () => HostView): void {
  cluster.handle(channel, async () => view())
}

/** The views of all live members, by name; null of one that does not answer. */
export async function askViews(
  cluster: Cluster,
  own: HostView,
): Promise<Readonly<Record<string, HostView | null>>> {
  const live = cluster.members().filter(({ state }) => state === 'alive' || state === 'suspect')
  const views = live.map(async ({ name, self }) => {
    const ask = () => cluster.request(name, channel, {}, { timeoutMs: askTimeoutMs })
    const answer = self ? own : await attempt(ask, () => null)
    const parsed = v.safeParse(hostView, answer)
    return [name, parsed.success ? parsed.output : null] as const
  })
  return Object.fromEntries(await Promise.all(views))
}
