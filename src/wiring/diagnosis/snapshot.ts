import type {
  ActualOverlay,
  Dataplane,
  FdbEntry,
  LinkState,
  Neighbour,
  OverlayLinkStates,
  UnderlayRoute,
} from '../../dataplane/dataplane.ts'
import { attempt } from '../../base/errors.ts'
import type { Endpoint } from '../../driver/network-store.ts'
import type { Ip } from '../../net/ip.ts'
import type { Mac } from '../../net/mac.ts'
import type { Vni } from '../../net/vni.ts'
import type { PathStatus } from '../../paths/paths.ts'
import type { PluginOptions } from '../ports/plugin-ports.ts'
import type { Rooms } from '../rooms.ts'

/** What a trace asks of a host: some addresses of an overlay, and the way to another member. */
export interface SnapshotQuery {
  readonly overlayId: string
  readonly ips: readonly Ip[]
  /** The member that the path leads to; null when both ends are on one host. */
  readonly other: string | null
}

/** All that a frame between these addresses meets on one host, as its kernel has it now. */
export interface HostSnapshot {
  readonly member: string
  readonly vtep: string
  /** Null when this host has no network of that overlay. */
  readonly overlay: OverlaySnapshot | null
  /** Who has the addresses, as other members say; of several claims of one, the one that counts. */
  readonly claims: readonly Claim[]
  /** What is known of the other member; null without one. */
  readonly other: {
    readonly state: string
    readonly route: UnderlayRoute | null
    readonly path: PathStatus | null
    /** Whether the filter admits its frames. */
    readonly admitted: boolean
  } | null
}

interface Claim {
  readonly ip: Ip
  readonly member: string
  readonly vtep: Ip
  readonly mac: Mac
  readonly live: boolean
}

interface OverlaySnapshot {
  readonly vni: number
  readonly mtu: number
  readonly port: number
  readonly encrypted: boolean
  /** Null when no container of this host is on it. */
  readonly links: OverlayLinkStates | null
  readonly filtered: boolean
  readonly endpoints: readonly EndpointSnapshot[]
  readonly fdb: readonly FdbEntry[]
  readonly neighbours: readonly Neighbour[]
  /** Frames of containers here that the filter dropped, by reason. */
  readonly dropped: Readonly<Record<string, number>>
  /** Why frames take the bridge; null when they go past it. */
  readonly noFastPath: string | null
}

export interface EndpointSnapshot {
  readonly endpointId: string
  readonly ips: readonly string[]
  readonly mac: string
  /** Whether its container has started. */
  readonly joined: boolean
  /** The port of the bridge; null when there is none. */
  readonly port:
    | (LinkState & {
        readonly mac: string | null
        /** What the filter lets it send from; null for anything. */
        readonly allowed: readonly string[] | null
        readonly configured: boolean
        /** Whether the container's end was not moved to the container. */
        readonly inHostNetns: boolean
        /** Frames that it sent past the bridge. */
        readonly pastBridge: number
      })
    | null
}

interface Parts {
  readonly rooms: Rooms
  readonly dataplane: Dataplane
  readonly options: PluginOptions
}

/** What of an overlay's kernel state can be read; a data plane that cannot be is one without. */
interface Kernel {
  readonly actual: ActualOverlay | null
  readonly links: OverlayLinkStates | null
}

/** Reads the kernel; changes nothing. */
export async function snapshotOf(
  { rooms, dataplane, options }: Parts,
  query: SnapshotQuery,
): Promise<HostSnapshot> {
  const { overlayId, ips, other } = query
  const { member, vtep } = options
  const found = rooms.driver
    .networksWithEndpoints()
    .find(({ network }) => network.overlayId === overlayId)
  if (found === undefined) return { member, vtep, overlay: null, claims: [], other: null }
  const { network, endpoints } = found
  const claims = ips.flatMap((ip) => claimOf(rooms, network.vni, ip))
  const kernel: Kernel = {
    actual: await orNull(() => dataplane.dump(overlayId)),
    links: await orNull(() => dataplane.linkStates(overlayId)),
  }
  const own = endpoints.filter(({ addresses }) => addresses.some(({ ip }) => ips.includes(ip)))
  const macs = new Set([...claims, ...own].map(({ mac }) => mac))
  const { actual, links } = kernel
  const overlay: OverlaySnapshot = {
    vni: network.vni,
    mtu: network.mtu,
    port: options.vxlanPort,
    encrypted: network.encrypted,
    links,
    filtered: (await dataplane.features()).filter === 'on',
    endpoints: own.map((endpoint) => endpointOf(endpoint, kernel)),
    fdb: actual?.fdb.filter(({ mac }) => macs.has(mac)) ?? [],
    neighbours: actual?.neighbours.filter(({ ip }) => ips.includes(ip)) ?? [],
    dropped: actual?.dropped ?? {},
    noFastPath: actual?.fastPath.reason ?? null,
  }
  return { member, vtep, overlay, claims, other: await otherOf(rooms, dataplane, other, actual) }
}

function orNull<T>(read: () => Promise<T | null>): Promise<T | null> {
  return attempt(read, () => null)
}

/** The claim of an address that counts, of those of other members. */
function claimOf({ peers }: Rooms, vni: Vni, ip: Ip): Claim[] {
  const claims = peers.withIp(vni, ip).slice(0, 1)
  return claims.map(({ origin: member, vtep, mac, live }) => ({ ip, member, vtep, mac, live }))
}

async function otherOf(
  { cluster, paths }: Rooms,
  dataplane: Dataplane,
  other: string | null,
  actual: ActualOverlay | null,
): Promise<HostSnapshot['other']> {
  const far = cluster.members().find(({ name }) => name === other)
  if (far === undefined) return null
  const { name, address, state } = far
  return {
    state,
    route: await orNull(() => dataplane.routeTo(address)),
    path: paths?.status(name) ?? null,
    admitted: actual?.sources.includes(address) ?? false,
  }
}

function endpointOf(
  { endpointId, addresses, mac, joined }: Endpoint,
  { actual, links }: Kernel,
): EndpointSnapshot {
  const ips = addresses.map(({ ip }) => ip)
  return { endpointId, ips, mac, joined, port: portOf(endpointId, actual, links) }
}

function portOf(
  endpointId: string,
  actual: ActualOverlay | null,
  links: OverlayLinkStates | null,
): EndpointSnapshot['port'] {
  const port = actual?.endpoints.find((link) => link.endpointId === endpointId)
  const state = links?.ports[endpointId]
  if (port === undefined || state === undefined) return null
  return {
    ...state,
    mac: port.mac,
    allowed: port.ips,
    configured: port.portConfigured,
    inHostNetns: port.inHostNetns,
    pastBridge: actual?.fastPath.endpoints[endpointId]?.sent.frames ?? 0,
  }
}
