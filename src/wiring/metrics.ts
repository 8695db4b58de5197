import type { MetricFamily } from '../admin/metrics.ts'
import type { MethodSummary } from '../engine-api/call-statistics.ts'
import type { PluginStatus } from './status.ts'

type Sample = MetricFamily['samples'][number]

const memberStates = ['alive', 'suspect', 'dead', 'left'] as const

/** The metrics of a plugin, as its status is now; docs/metrics.md lists them. */
export function metricsOf(
  status: PluginStatus,
  calls: Readonly<Record<string, MethodSummary>>,
): MetricFamily[] {
  return [
    gauge('build_info', 'Constant 1 with the version', [
      { labels: { version: status.version }, value: 1 },
    ]),
    ...memberMetrics(status),
    ...agreementMetrics(status),
    ...poolMetrics(status),
    ...dataplaneMetrics(status),
    ...trafficMetrics(status),
    counter(
      'calls_total',
      'Calls of the engine',
      byKey('method', calls, ({ count }) => count),
    ),
    counter(
      'call_errors_total',
      'Calls of the engine that were refused or failed',
      byKey('method', calls, ({ errors }) => errors),
    ),
  ]
}

/** Members with metrics of their own: a thousand hosts with a thousand each are too many. */
const maxMeasuredMembers = 100

/** Those whose tunnels are in trouble, then the others, by name. */
function measured(members: PluginStatus['members']): PluginStatus['members'] {
  const isWell = ({ tunnel }: PluginStatus['members'][number]): boolean =>
    tunnel === null || tunnel.state === 'up'
  return members
    .filter(({ self, state }) => !self && state !== 'left')
    .toSorted((a, b) => Number(isWell(a)) - Number(isWell(b)) || (a.name < b.name ? -1 : 1))
    .slice(0, maxMeasuredMembers)
}

function memberMetrics({
  members,
  findings,
  gossipOddities,
  cluster,
}: PluginStatus): MetricFamily[] {
  const codes = countBy(findings.list.map(({ code }) => code))
  return [
    gauge(
      'members',
      'Members of the cluster by state, this one included',
      memberStates.map((state) => {
        const inState = members.filter((member) => member.state === state)
        return { labels: { state }, value: inState.length }
      }),
    ),
    gauge(
      'gossip_round_trip_seconds',
      'Round trip of the last probe by gossip, by member',
      measured(members).flatMap(({ name, rttMs }) =>
        rttMs === null ? [] : [{ labels: { member: name }, value: rttMs / 1000 }],
      ),
    ),
    ...tunnelMetrics(measured(members)),
    gauge('tunnels', 'Members that share an overlay, by what probes show', tunnelStates(members)),
    counter(
      'gossip_faults_total',
      'Packets and streams of gossip that were dropped or odd, by reason',
      byKey('reason', gossipOddities, (count) => count),
    ),
    gauge(
      'findings',
      'What is wrong now, by code',
      byKey('code', codes, (count) => count),
    ),
    gauge('cluster_records', 'Records of the cluster that are here', [
      ...byKey('whose', cluster.records, (count) => count),
    ]),
    counter(
      'cluster_messages_total',
      'Messages and steps of replication, by kind',
      byKey('kind', cluster.counters, (count) => count),
    ),
  ]
}

function tunnelStates(members: PluginStatus['members']): Sample[] {
  const states = members.flatMap(({ tunnel }) => (tunnel === null ? [] : [tunnel.state]))
  return byKey('state', countBy(states), (count) => count)
}

function tunnelMetrics(members: PluginStatus['members']): MetricFamily[] {
  const probed = members.flatMap(({ name, tunnel }) =>
    tunnel === null || tunnel.state === 'unknown' ? [] : [{ labels: { member: name }, tunnel }],
  )
  return [
    gauge(
      'tunnel_up',
      'Whether packets pass the tunnel in both directions, by member',
      probed.map(({ labels, tunnel: { state } }) => {
        return { labels, value: Number(state !== 'blocked' && state !== 'one-way') }
      }),
    ),
    gauge(
      'tunnel_round_trip_seconds',
      'Round trip of the last probe through the tunnel, by member',
      probed.flatMap(({ labels, tunnel: { rttMs } }) =>
        rttMs === null ? [] : [{ labels, value: rttMs / 1000 }],
      ),
    ),
    gauge(
      'tunnel_packet_bytes',
      'Size of the packets that pass the tunnel, 0 when only small ones do, by member',
      probed.map(({ labels, tunnel: { bytes } }) => ({ labels, value: bytes ?? 0 })),
    ),
  ]
}

function agreementMetrics({ consensus, ipam }: PluginStatus): MetricFamily[] {
  const one = (value: number | boolean): Sample[] => [{ value: Number(value) }]
  return [
    gauge('quorum', 'Whether a leader is known', one(consensus.leader !== null)),
    gauge('leader', 'Whether this member leads', one(consensus.role === 'leader')),
    gauge('voters', 'Voters', one(consensus.voters.length)),
    gauge('voters_missing', 'Voters that are not heard', one(consensus.missing.length)),
    gauge('raft_term', 'The term of Raft', one(consensus.term)),
    gauge('raft_applied_index', 'The last applied entry', one(consensus.appliedIndex)),
    gauge('raft_log_entries', 'Entries since the last snapshot', one(consensus.logEntries)),
    gauge(
      'membership_valid',
      'Whether addresses may be handed out here',
      one(ipam.member.leaseValid),
    ),
  ]
}

function poolMetrics({ ipam: { pools, conflicts } }: PluginStatus): MetricFamily[] {
  const all = (select: (pool: (typeof pools)[number]) => number): Sample[] =>
    pools.map((pool) => ({ labels: { pool: pool.poolKey }, value: select(pool) }))
  return [
    gauge(
      'pool_addresses_usable',
      'Addresses of a pool in all',
      all((p) => p.addresses.usable),
    ),
    gauge(
      'pool_addresses_used',
      'Addresses in use on this host',
      all((p) => p.addresses.used),
    ),
    gauge(
      'pool_addresses_free',
      'Addresses free on this host',
      all((p) => p.addresses.free),
    ),
    gauge(
      'pool_blocks',
      'Blocks of a pool in all',
      all((p) => p.blocks.total),
    ),
    gauge(
      'pool_blocks_own',
      'Blocks of this host',
      all((p) => p.blocks.mine.length),
    ),
    gauge('address_conflicts', 'Addresses that two members have', [{ value: conflicts.length }]),
  ]
}

function dataplaneMetrics({ dataplane }: PluginStatus): MetricFamily[] {
  const { overlays, drift, audits } = dataplane
  const all = (select: (overlay: (typeof overlays)[number]) => number): Sample[] =>
    overlays.map((overlay) => ({ labels: { overlay: overlay.overlayId }, value: select(overlay) }))
  return [
    gauge(
      'overlay_endpoints',
      'Endpoints of this host',
      all(({ endpoints }) => endpoints),
    ),
    gauge(
      'overlay_peers',
      'Endpoints of other hosts',
      all(({ peers }) => peers),
    ),
    gauge(
      'overlay_fdb_entries',
      'FDB entries in the kernel',
      all(({ fdb }) => fdb),
    ),
    gauge(
      'overlay_mtu_bytes',
      'MTU of the containers’ links',
      all(({ mtu }) => mtu),
    ),
    gauge(
      'overlay_settled',
      'Whether the kernel is as desired',
      all((o) => Number(o.settled)),
    ),
    counter(
      'filter_dropped_frames_total',
      'Frames of containers that the filter dropped, as of the last audit',
      overlays.flatMap(({ overlayId, dropped }) =>
        byKey('reason', dropped, (count) => count).map(({ labels, value }) => {
          return { labels: { overlay: overlayId, ...labels }, value }
        }),
      ),
    ),
    counter('tunnel_filter_dropped_frames_total', 'Frames of hosts that take part in no overlay', [
      { value: Math.max(0, ...overlays.map(({ tunnelDrops }) => tunnelDrops)) },
    ]),
    counter(
      'drift_repaired_total',
      'Repairs by audits',
      byKey('kind', { ...drift }, (n) => n),
    ),
    counter('audits_total', 'Audits', [{ value: audits }]),
  ]
}

function tunnelTraffic(
  { overlays }: PluginStatus['dataplane'],
  unit: 'frames' | 'bytes',
): Sample[] {
  return overlays.flatMap(({ overlayId: overlay, traffic }) =>
    (traffic === null ? [] : (['sent', 'received'] as const)).map((direction) => ({
      labels: { overlay, direction },
      value: traffic![direction][unit],
    })),
  )
}

function trafficMetrics({ dataplane }: PluginStatus): MetricFamily[] {
  const { overlays } = dataplane
  const past = (unit: 'frames' | 'bytes'): Sample[] =>
    overlays.flatMap(({ overlayId: overlay, fastPath }) =>
      Object.entries(fastPath?.endpoints ?? {}).flatMap(([endpoint, traffic]) =>
        (['sent', 'received'] as const).map((direction) => ({
          labels: { overlay, endpoint, direction },
          value: traffic[direction][unit],
        })),
      ),
    )
  return [
    gauge(
      'fast_path',
      'Whether frames between containers go past the bridge',
      overlays.map(({ overlayId, fastPath }) => {
        return { labels: { overlay: overlayId }, value: Number(fastPath?.reason === null) }
      }),
    ),
    counter(
      'overlay_packets_total',
      'Packets through the tunnel, as of the last audit',
      tunnelTraffic(dataplane, 'frames'),
    ),
    counter(
      'overlay_bytes_total',
      'Bytes through the tunnel, as of the last audit',
      tunnelTraffic(dataplane, 'bytes'),
    ),
    counter('fast_path_frames_total', 'Frames that went past the bridge', past('frames')),
    counter('fast_path_bytes_total', 'Bytes that went past the bridge', past('bytes')),
  ]
}

function gauge(name: string, help: string, samples: readonly Sample[]): MetricFamily {
  return { name, help, type: 'gauge', samples }
}

function counter(name: string, help: string, samples: readonly Sample[]): MetricFamily {
  return { name, help, type: 'counter', samples }
}

/** A sample for each entry, its key as the value of one label. */
function byKey<T>(
  label: string,
  values: Readonly<Record<string, T>>,
  select: (value: T) => number,
): Sample[] {
  return Object.entries(values).map(([key, value]) => ({
    labels: { [label]: key },
    value: select(value),
  }))
}

function countBy(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
