import type { ActualOverlay, FdbEntry, Neighbour } from '../dataplane.ts'
import type { Mac } from '../../net/mac.ts'
import { portOn } from './endpoint-links.ts'
import type { Link } from './link.ts'
import { wrongIn } from './link-repair.ts'
import { bridgeName, endpointOfAlias, sourceNameOf, vxlanName } from './names.ts'
import { type HostNetns, type OverlayNetns, linksOf } from './overlay-netns.ts'
import {
  getFdb,
  getNeighbours,
  linkIndexOf,
  readFdbEntry,
  readNeighbour,
  readPortMac,
} from './rows.ts'
import * as rt from './rtnetlink.ts'

/** So often are the tables read while links come and go. */
const readingsMost = 3

/** Reads all that the kernel has of an overlay. Other work has its turn while the tables are read. */
export async function dumpOverlay(
  netns: OverlayNetns,
  host: HostNetns,
  overlayId: string,
): Promise<ActualOverlay> {
  const { links, tables } = await readSteadily(netns)
  const bridge = named(links, bridgeName)
  const parked = new Set(linksOf(host.socket).map(({ name }) => name))
  const { fdb, neighbours, stations } = tables
  const endpoints = links.flatMap((link) => {
    const endpointId = link.kind === 'veth' ? endpointOfAlias(link.alias, overlayId) : null
    if (endpointId === null) return []
    const isParked = parked.has(sourceNameOf(overlayId, endpointId))
    const mac = stations.get(link.index) ?? null
    return [{ endpointId, mac, mtu: link.mtu, sound: isSound(link, bridge), parked: isParked }]
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
    if (isSteady || reading === readingsMost) return { links, tables }
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

function isSound(port: Link, bridge: Link | null): boolean {
  return bridge !== null && wrongIn(port, portOn(bridge)).length === 0
}
