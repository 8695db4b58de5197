import type { Ip } from '../../../net/ip.ts'
import type { Mac } from '../../../net/mac.ts'
import type {
  ActualOverlay,
  FailedRowChange,
  FdbEntry,
  LinkState,
  Neighbour,
  RowChange,
} from '../../dataplane.ts'
import type { HostFilter } from '../filter/host-filter.ts'
import type { PortSource } from '../filter/port-filter.ts'
import { portConfig } from '../links/endpoint-links.ts'
import { linkDrift } from '../links/link-config.ts'
import { type Link, listLinks, readTraffic } from '../netlink/link.ts'
import { bridgeName, endpointOfAlias, sourceNameOf, vxlanName } from '../netlink/names.ts'
import {
  getFdb,
  getNeighbours,
  linkIndexOf,
  readFdbEntry,
  readNeighbour,
  readPortMac,
  rowRequest,
} from '../netlink/neighbours.ts'
import type { NetlinkSocket } from '../netlink/netlink-socket.ts'
import * as rt from '../netlink/rtnetlink.ts'
import type { NetnsHandle, OverlayNetns } from '../netns/overlay-netns.ts'

/** How often the tables are read while links come and go. */
const maxReadings = 3

/** Writes rows of the VXLAN device with that index, as `Dataplane.apply` does. */
export function writeRows(
  socket: NetlinkSocket,
  vxlanIndex: number,
  changes: readonly RowChange[],
): FailedRowChange[] {
  const errors = socket.send(changes.map((change) => rowRequest(vxlanIndex, change)))
  return [...errors].flatMap(([position, error]) => {
    const change = changes[position]!
    const isGone = change.op === 'remove' && error.code === 'ENOENT'
    return isGone ? [] : [{ change, error: error.message }]
  })
}

interface DumpParts {
  readonly netns: OverlayNetns
  readonly host: NetnsHandle
  readonly filter: HostFilter
}

/** Reads all that the kernel has of an overlay. Yields to other work while the tables are read. */
export async function dumpOverlay(
  { netns, host, filter }: DumpParts,
  overlayId: string,
): Promise<ActualOverlay> {
  const { links, tables } = await readConsistently(netns)
  const bridge = named(links, bridgeName)
  const hostLinks = new Set(listLinks(host.socket).map(({ name }) => name))
  const { fdb, neighbours, portMacs } = tables
  const tunnel = named(links, vxlanName)
  const vni = tunnel?.vxlan?.vni
  const sources = vni === undefined ? [] : filter.sources(vni)
  const portFilter = filter.isActive && netns.filtersPorts ? netns.portFilter : null
  const portSources = portFilter?.sources() ?? null
  const endpoints = links.flatMap((link) => {
    const endpointId = link.kind === 'veth' ? endpointOfAlias(link.alias, overlayId) : null
    if (endpointId === null) return []
    const mac = portMacs.get(link.index) ?? null
    const portConfigured = bridge !== null && linkDrift(link, portConfig(bridge)).length === 0
    const inHostNetns = hostLinks.has(sourceNameOf(overlayId, endpointId))
    const ips = portSources === null ? null : allowedIps(portSources.get(link.name), mac)
    return [{ endpointId, mac, mtu: link.mtu, ips, portConfigured, inHostNetns }]
  })
  const dropped = filter.isActive ? netns.dropped() : {}
  netns.syncFdb(fdb)
  const passed = netns.fastPath.traffic()
  const indexes = links.flatMap(({ index, alias }) => {
    const endpointId = passed.has(index) ? endpointOfAlias(alias, overlayId) : null
    return endpointId === null ? [] : [[endpointId, passed.get(index)!] as const]
  })
  const fastPath = { reason: netns.fastPath.reason, endpoints: Object.fromEntries(indexes) }
  const traffic = tunnel === null ? null : readTraffic(netns.socket, tunnel.index)
  const drops = { dropped, tunnelDrops: filter.dropped() }
  return { overlayId, endpoints, fdb, neighbours, sources, ...drops, traffic, fastPath }
}

/** The links of an overlay and whether they carry anything. */
export function readLinkStates(netns: OverlayNetns, overlayId: string) {
  const links = netns.links()
  const ports = links.flatMap((link) => {
    const endpointId = link.kind === 'veth' ? endpointOfAlias(link.alias, overlayId) : null
    return endpointId === null ? [] : [[endpointId, stateOf(link)] as const]
  })
  const [bridge, vxlan] = [named(links, bridgeName), named(links, vxlanName)]
  return {
    bridge: bridge === null ? null : stateOf(bridge),
    vxlan: vxlan?.vxlan ? { ...stateOf(vxlan), ...vxlan.vxlan } : null,
    ports: Object.fromEntries(ports),
  }
}

function stateOf({ up, carrier, mtu }: Link): LinkState {
  return { up, carrier, mtu }
}

/** None when the filter has another MAC address for the port than the bridge. */
function allowedIps(source: PortSource | undefined, mac: Mac | null): readonly Ip[] {
  return source === undefined || source.mac !== mac ? [] : source.ips
}

/**
 * The links of a namespace and its tables, read again when links came or went meanwhile: the kernel
 * keeps its position in a dump by counting, and loses it when rows of an earlier link go.
 */
async function readConsistently(netns: OverlayNetns): Promise<{ links: Link[]; tables: Tables }> {
  let links = netns.links()
  for (let reading = 1; ; reading++) {
    const tables = await readTables(netns, named(links, vxlanName)?.index ?? null)
    const before = links
    links = netns.links()
    const isSame =
      links.length === before.length && links.every(({ index }, i) => index === before[i]!.index)
    if (isSame || reading === maxReadings) return { links, tables }
  }
}

function named(links: readonly Link[], name: string): Link | null {
  return links.find((link) => link.name === name) ?? null
}

interface Tables {
  readonly fdb: FdbEntry[]
  readonly neighbours: Neighbour[]
  /** The MAC address that the bridge has behind each port; null for several. */
  readonly portMacs: Map<number, Mac | null>
}

async function readTables(netns: OverlayNetns, vxlanIndex: number | null): Promise<Tables> {
  const tables: Tables = { fdb: [], neighbours: [], portMacs: new Map() }
  const { fdb, neighbours, portMacs } = tables
  const socket = netns.openSocket()
  try {
    await socket.scan(getFdb(0), (message) => {
      const entry = linkIndexOf(message) === vxlanIndex ? readFdbEntry(message) : null
      if (entry !== null) fdb.push(entry)
      const port = readPortMac(message)
      if (port !== null) portMacs.set(port.index, portMacs.has(port.index) ? null : port.mac)
    })
    if (vxlanIndex === null) return tables
    for (const family of [rt.AF_INET, rt.AF_INET6])
      await socket.scan(getNeighbours(vxlanIndex, family), (message) => {
        const neighbour = readNeighbour(message)
        if (neighbour !== null) neighbours.push(neighbour)
      })
    return tables
  } finally {
    socket.close()
  }
}
