import type { Findings } from '../../base/findings.ts'
import type { Cluster } from '../../cluster/cluster.ts'
import type { Reconciler } from '../../dataplane/reconcile/reconciler.ts'
import { Paths, type Target } from '../../paths/paths.ts'
import type { Peers } from '../../peers/peers.ts'
import type { PluginOptions, PluginPorts } from './plugin-ports.ts'

/** The channel of requests between members. */
const channel = 'paths'
const askTimeoutMs = 1500

interface PathsRooms {
  readonly cluster: Cluster
  readonly peers: Peers
  readonly reconciler: Reconciler
  readonly findings: Findings
}

/** The paths of this host; null without a kernel that probes can be sent through. */
export function newPaths(
  { clock, random, probes }: PluginPorts,
  options: PluginOptions,
  rooms: PathsRooms,
): Paths | null {
  if (probes === undefined) return null
  const { cluster, findings } = rooms
  const { member, vtep, vxlanPort: port } = options
  const paths = new Paths({
    clock,
    random,
    findings: findings.room('paths'),
    probes,
    self: { member, vtep, port },
    targets: () => targetsOf(rooms, port),
    ask: async (other) => {
      const answer = await cluster.request(other, channel, {}, { timeoutMs: askTimeoutMs })
      return Array.isArray(answer) ? answer.filter((item) => typeof item === 'string') : []
    },
  })
  cluster.handle(channel, async (from) => paths.heardFrom(from))
  return paths
}

/** The live members that have endpoints on an overlay of this host, by overlay. */
export function targetsOf(
  { peers, reconciler }: Pick<PathsRooms, 'peers' | 'reconciler'>,
  port: number,
): Target[] {
  return reconciler.status().overlays.flatMap(({ overlayId, vni, mtu, encrypted }) => {
    // Probes are sent by the host: nothing of an encrypted overlay may be seen there.
    if (encrypted) return []
    const live = peers.of(vni).filter(({ live }) => live)
    const members = new Map(live.map(({ origin, vtep }) => [origin, vtep]))
    return Array.from(members, ([member, vtep]) => ({ member, overlayId, vni, vtep, mtu, port }))
  })
}
