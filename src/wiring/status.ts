import type { ConsensusStatus } from '../consensus/ports.ts'
import type { EngineStatus } from '../engine-client/engine.ts'
import type { FindingsStatus } from '../base/findings.ts'
import type { LoggedProblem } from '../base/logger.ts'
import { ipWithLength } from '../net/cidr.ts'
import type { InconsistencyStatus } from '../driver/consistency.ts'
import type { OrphanStatus } from '../driver/orphans/orphan-collector.ts'
import type { IgnoredClaims } from './claim-validation.ts'
import type { AdmissionStatus } from './admission/admission-status.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { ClusterStatus } from '../cluster/cluster-status.ts'
import { endpointRecord } from '../cluster/wire/endpoint-record.ts'
import type { EncryptionStatus } from '../dataplane/reconcile/encryption.ts'
import type { ReconcilerStatus } from '../dataplane/reconcile/reconciler.ts'
import type { IpamStatus } from '../ipam/status.ts'
import type { PathStatus } from '../paths/paths.ts'
import { namesRecord, overlayRecord } from './records.ts'
import type { Names } from '../names/names.ts'
import type { NetworksStatus } from '../networks/replicator.ts'
import type { PluginOptions, PluginPorts } from './ports/plugin-ports.ts'
import type { Rooms } from './rooms.ts'

/** What `GET /status` answers with. Plain JSON; fields are added, never renamed. */
export interface PluginStatus {
  readonly version: string
  readonly member: string
  readonly vtep: string
  readonly members: readonly MemberStatus[]
  readonly overlays: readonly OverlayStatus[]
  readonly ipam: IpamStatus
  readonly cluster: ClusterStatus
  /** What the members agree on by Raft: role, term, leader, voters, the log. */
  readonly consensus: ConsensusStatus
  /** This host's certificate and keys; null while it is no member. */
  readonly admission: AdmissionStatus | null
  readonly dataplane: ReconcilerStatus
  /** The WireGuard device; null while this host has no encrypted network. */
  readonly encryption: EncryptionStatus | null
  /** The connection to the engine's API; null with `ENGINE_API=off`. */
  readonly engine: EngineStatus | null
  /** How many networks are to be on all hosts; null with `ENGINE_API=off`. */
  readonly networks: NetworksStatus | null
  /** Sandboxes, and how many have a resolver; null with `NAMES=off`. */
  readonly names: ReturnType<Names['status']> | null
  /** Overlays that this host and another member have with different parameters or one address. */
  readonly disagreements: InconsistencyStatus
  /**
   * Invalid claims of other members, which are ignored: unreadable records, addresses that cannot
   * be theirs.
   */
  readonly ignoredClaims: IgnoredClaims
  /**
   * Packets and streams of gossip that were dropped or odd, by reason: `packet-wrong-key`, for one.
   */
  readonly gossipOddities: Readonly<Record<string, number>>
  /** What looks unused and may be released soon, and what was released since the start. */
  readonly orphans: OrphanStatus
  /** What is wrong now, since when, and what to do about it. */
  readonly findings: FindingsStatus
  readonly problems: readonly LoggedProblem[]
}

/** A host of the cluster as this one sees it. */
export interface MemberStatus {
  readonly name: string
  readonly address: string
  readonly state: 'alive' | 'suspect' | 'dead' | 'left'
  readonly self: boolean
  /** Its plugin restarts and its endpoints stay. */
  readonly paused: boolean
  /** When it came to be in this state, ISO 8601 in UTC. */
  readonly since: string
  /** The round trip of the last direct probe by gossip, ms; null for this host, or before one. */
  readonly rttMs: number | null
  /** What probes through a tunnel to it have shown; null when no overlay is shared. */
  readonly tunnel: PathStatus | null
  /** How many overlays and endpoints it has published. */
  readonly overlays: number
  readonly endpoints: number
}

export interface OverlayStatus {
  readonly overlayId: string
  readonly networkId: string
  /** The engine's name for it; null where the engine's API was not asked. */
  readonly name: string | null
  /** The members that take part in it, this one included. */
  readonly members: readonly string[]
  /** Those of its first pool's family; null when another IPAM driver has it. */
  readonly addresses: { readonly used: number; readonly usable: number } | null
  readonly vni: number
  readonly mtu: number
  readonly encrypted: boolean
  readonly pools: readonly string[]
  readonly gateways: readonly string[]
  readonly endpoints: readonly {
    endpointId: string
    addresses: readonly string[]
    mac: string
    joined: boolean
    /** The container's name first, then its other names; empty when they are not known. */
    names: readonly string[]
  }[]
  readonly peers: readonly {
    member: string
    vtep: string
    endpointId: string
    ips: readonly string[]
    mac: string
    names: readonly string[]
  }[]
}

/** Asks every room for its part. */
export function composeStatus(
  rooms: Rooms,
  { clock, gossip, sealed, problems, engine }: PluginPorts,
  options: PluginOptions,
): PluginStatus {
  const { cluster, consensus, reconciler, ipam, driver, findings, claims } = rooms
  const published = new Published(cluster)
  const addresses = ipam.status()
  return {
    version: options.version,
    member: options.member,
    vtep: options.vtep,
    members: cluster.members().map((member) => {
      const { name, address, state, self, restarting = false, sinceMs } = member
      return {
        name,
        address,
        state,
        self,
        paused: restarting,
        since: new Date(clock.wall() - clock.now() + sinceMs).toISOString(),
        rttMs: gossip.rttMs?.(name) ?? null,
        tunnel: rooms.paths?.status(name) ?? null,
        ...published.countsOf(name),
      }
    }),
    overlays: overlaysOf(rooms, published, addresses),
    ipam: addresses,
    cluster: cluster.status(),
    consensus: consensus.status(),
    admission: rooms.admission.status(),
    dataplane: reconciler.status(),
    encryption: rooms.encryption.status(),
    engine: engine?.status() ?? null,
    networks: rooms.replicator?.status() ?? null,
    names: rooms.names?.status() ?? null,
    disagreements: driver.inconsistencies(),
    ignoredClaims: claims.status(),
    gossipOddities: { ...gossip.counters, ...sealed.counts },
    orphans: driver.orphans(),
    findings: findings.status(),
    problems,
  }
}

function overlaysOf(
  { driver, peers, replicator, names }: Rooms,
  published: Published,
  { pools }: IpamStatus,
): OverlayStatus[] {
  return driver.networksWithEndpoints().map(({ network, endpoints }) => {
    const remote = peers.of(network.vni)
    const first = network.poolKeys[0]
    const usable = pools
      .filter(({ poolKey }) => network.poolKeys.includes(poolKey))
      .filter(({ poolKey }) => poolKey.includes(':') === first?.includes(':'))
      .reduce((sum, { addresses }) => sum + addresses.usable, 0)
    const used = endpoints.length + remote.length
    return {
      overlayId: network.overlayId,
      networkId: network.networkId,
      name: replicator?.nameOf(network.networkId) ?? names?.networkNameOf(network.vni) ?? null,
      members: published.membersOf(network.overlayId),
      addresses: usable === 0 ? null : { used, usable },
      vni: network.vni,
      mtu: network.mtu,
      encrypted: network.encrypted,
      pools: network.pools,
      gateways: network.gateways,
      endpoints: endpoints.map(({ endpointId, addresses, mac, joined }) => ({
        endpointId,
        addresses: addresses.map(({ ip, cidr }) => ipWithLength(ip, cidr)),
        mac,
        joined,
        names: names?.namesOf(endpointId) ?? [],
      })),
      peers: remote.map(({ origin, vtep, endpointId, ips, mac }) => ({
        member: origin,
        vtep,
        endpointId,
        ips,
        mac,
        names: published.namesOf(network.vni, endpointId, origin),
      })),
    }
  })
}

/** What the members have published, by member and by overlay. */
class Published {
  readonly #overlays = new Map<string, string[]>()
  readonly #names = new Map<string, readonly string[]>()
  readonly #counts = new Map<string, { overlays: number; endpoints: number }>()

  constructor(cluster: Cluster) {
    for (const { origin, record } of cluster.records(overlayRecord)) {
      this.#countsOf(origin).overlays++
      const members = this.#overlays.get(record.overlayId) ?? []
      this.#overlays.set(record.overlayId, [...members, origin])
    }
    for (const { origin, record } of cluster.records(namesRecord))
      this.#names.set(`${record.vni}/${record.endpointId}/${origin}`, record.names)
    for (const { origin } of cluster.records(endpointRecord)) this.#countsOf(origin).endpoints++
  }

  membersOf(overlayId: string): string[] {
    return (this.#overlays.get(overlayId) ?? []).toSorted()
  }

  namesOf(vni: number, endpointId: string, origin: string): readonly string[] {
    return this.#names.get(`${vni}/${endpointId}/${origin}`) ?? []
  }

  countsOf(member: string): { readonly overlays: number; readonly endpoints: number } {
    return { ...this.#countsOf(member) }
  }

  #countsOf(member: string): { overlays: number; endpoints: number } {
    const counts = this.#counts.get(member) ?? { overlays: 0, endpoints: 0 }
    this.#counts.set(member, counts)
    return counts
  }
}
