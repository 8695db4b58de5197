import type { ConsensusStatus } from '../consensus/ports.ts'
import type { FindingsStatus } from '../base/findings.ts'
import type { LoggedProblem } from '../base/logger.ts'
import { ipWithLength } from '../net/cidr.ts'
import type { InconsistencyStatus } from '../driver/consistency.ts'
import type { OrphanStatus } from '../driver/orphan-collector.ts'
import type { IgnoredClaims } from './claim-validation.ts'
import type { AdmissionStatus } from './admission/admission.ts'
import type { PluginOptions, PluginPorts } from './ports/plugin-ports.ts'
import type { Rooms } from './rooms.ts'

/** What `GET /status` answers with. Plain JSON; fields are added, never renamed. */
export interface PluginStatus {
  readonly version: string
  readonly member: string
  readonly vtep: string
  readonly members: readonly {
    name: string
    address: string
    state: string
    self: boolean
    /** Its plugin restarts and its endpoints stay. */
    paused: boolean
  }[]
  readonly overlays: readonly OverlayStatus[]
  readonly ipam: unknown
  readonly cluster: unknown
  /** What the members agree on by Raft: role, term, leader, voters, the log. */
  readonly consensus: ConsensusStatus
  /** This host's certificate and keys; null where gossip is open to all. */
  readonly admission: AdmissionStatus | null
  readonly dataplane: unknown
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

interface OverlayStatus {
  readonly overlayId: string
  readonly networkId: string
  readonly vni: number
  readonly mtu: number
  readonly pools: readonly string[]
  readonly gateways: readonly string[]
  readonly endpoints: readonly {
    endpointId: string
    addresses: readonly string[]
    mac: string
    joined: boolean
  }[]
  readonly peers: readonly {
    member: string
    vtep: string
    endpointId: string
    ips: readonly string[]
    mac: string
  }[]
}

/** Asks every room for its part. */
export function composeStatus(
  rooms: Rooms,
  { gossip, problems }: PluginPorts,
  options: PluginOptions,
): PluginStatus {
  const { cluster, consensus, reconciler, ipam, driver, findings, claims } = rooms
  return {
    version: options.version,
    member: options.member,
    vtep: options.vtep,
    members: cluster.members().map(({ name, address, state, self, restarting = false }) => {
      return { name, address, state, self, paused: restarting }
    }),
    overlays: overlaysOf(rooms),
    ipam: ipam.status(),
    cluster: cluster.status(),
    consensus: consensus.status(),
    admission: rooms.admission?.status() ?? null,
    dataplane: reconciler.status(),
    disagreements: driver.inconsistencies(),
    ignoredClaims: claims.status(),
    gossipOddities: gossip.counters ?? {},
    orphans: driver.orphans(),
    findings: findings.status(),
    problems,
  }
}

function overlaysOf({ driver, peers }: Rooms): OverlayStatus[] {
  return driver.networksWithEndpoints().map(({ network, endpoints }) => ({
    overlayId: network.overlayId,
    networkId: network.networkId,
    vni: network.vni,
    mtu: network.mtu,
    pools: network.pools,
    gateways: network.gateways,
    endpoints: endpoints.map(({ endpointId, addresses, mac, joined }) => ({
      endpointId,
      addresses: addresses.map(({ ip, cidr }) => ipWithLength(ip, cidr)),
      mac,
      joined,
    })),
    peers: peers.of(network.vni).map(({ origin, vtep, endpointId, ips, mac }) => ({
      member: origin,
      vtep,
      endpointId,
      ips,
      mac,
    })),
  }))
}
