import type { ActualOverlay, FdbEntry, Neighbour } from '../../dataplane.ts'
import type { Mac } from '../../../net/mac.ts'
import { portConfig } from '../links/endpoint-links.ts'
import type { Link } from '../netlink/link.ts'
import { linkDrift } from '../links/link-config.ts'
import { bridgeName, endpointOfAlias, sourceNameOf, vxlanName } from '../netlink/names.ts'
import { type NetnsHandle, type OverlayNetns, listLinks } from '../netns/overlay-netns.ts'
import {
  getFdb,
  getNeighbours,
  linkIndexOf,
  readFdbEntry,
  readNeighbour,
  readPortMac,
} from '../netlink/neighbours.ts'
import * as rt from '../netlink/rtnetlink.ts'

/** So often are the tables read while links come and go. */
const maxReadings = 3

/** Reads all that the kernel has of an overlay. Other work has its turn while the tables are read. */
export async function dumpOverlay(
  netns: OverlayNetns,
  host: NetnsHandle,
  overlayId: string,
): Promise<ActualOverlay> {
  const { links, tables } = await readSteadily(netns)
  const bridge = named(links, bridgeName)
  const atHost = new Set(listLinks(host.socket).map(({ name }) => name))
  const { fdb, neighbours, stations } = tables
  const endpoints = links.flatMap((link) => {
    const endpointId = link.kind === 'veth' ? endpointOfAlias(link.alias, overlayId) : null
    if (endpointId === null) return []
    const mac = stations.get(link.index) ?? null
    return [
      {
        endpointId,
        mac,
        mtu: link.mtu,
        portConfigured: isConfigured(link, bridge),
        inHostNetns: atHost.has(sourceNameOf(overlayId, endpointId)),
      },
    ]
  })
  return { overlayId, endpoints, fdb, neighbours }
}

/**
 * The links of a namespace and its tables, read again when links went or came meanwhile: the kernel keeps its
 * place in a table by counting, and loses it when rows of a link before it go.
 */
async function readSteadily(netns: OverlayNetns): Promise<{ links: Link[]; tables: Tables }> {
  let links = netns.links()
  for (let reading = 1; ; reading++) {
    const tables = await readTables(netns, named(links, vxlanName)?.index ?? null)
    const before = links
    links = netns.links()
    const isSteady =
      links.length === before.length && links.every(({ index }, i) => index === before[i]!.index)
    if (isSteady || reading === maxReadings) return { links, tables }
  }
}

function named(links: readonly Link[], name: string): Link | null {
  return links.find((link) => link.name === name) ?? null
}

interface Tables {
  readonly fdb: FdbEntry[]
  readonly neighbours: Neighbour[]
  /** The station that the bridge has behind each port; null for several. */
  readonly stations: Map<number, Mac | null>
}

async function readTables(netns: OverlayNetns, vxlanIndex: number | null): Promise<Tables> {
  const tables: Tables = { fdb: [], neighbours: [], stations: new Map() }
  const { fdb, neighbours, stations } = tables
  const socket = netns.openSocket()
  try {
    await socket.scan(getFdb(0), (message) => {
      const entry = linkIndexOf(message) === vxlanIndex ? readFdbEntry(message) : null
      if (entry !== null) fdb.push(entry)
      const port = readPortMac(message)
      if (port !== null) stations.set(port.index, stations.has(port.index) ? null : port.mac)
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

function isConfigured(port: Link, bridge: Link | null): boolean {
  return bridge !== null && linkDrift(port, portConfig(bridge)).length === 0
}
