import { setImmediate as nextTurn } from 'node:timers/promises'
import type {
  ActualBridge,
  ActualEndpoint,
  ActualOverlay,
  ActualVxlan,
  Neighbour,
} from '../dataplane.ts'
import type { Mac } from '../../net/mac.ts'
import { portOn } from './endpoint-links.ts'
import type { Link } from './link.ts'
import { wrongIn } from './link-repair.ts'
import type { Message } from './message.ts'
import { bridgeName, endpointOfAlias, sourceNameOf, vxlanName } from './names.ts'
import { gatewaysOf } from './overlay-links.ts'
import { type HostNetns, type OverlayNetns, linkOf } from './overlay-netns.ts'
import { getFdb, getNeighbours, readFdbEntry, readNeighbour, readPortMac } from './rows.ts'
import * as rt from './rtnetlink.ts'

/**
 * Reads all that the kernel has of an overlay, about a microsecond a row (measured), and lets other work
 * have its turn between the tables.
 */
export async function dumpOverlay(
  netns: OverlayNetns,
  host: HostNetns,
  overlayId: string,
): Promise<ActualOverlay> {
  const { socket } = netns
  const links = netns.links()
  const bridge = links.find(({ name }) => name === bridgeName) ?? null
  const vxlan = links.find(({ name }) => name === vxlanName) ?? null
  const actualLinks = {
    bridge: bridge === null ? null : actualBridge(netns, bridge),
    vxlan: vxlan === null ? null : actualVxlan(vxlan),
  }
  const fdb = socket.dump(getFdb(0))
  const stations = stationsIn(fdb)
  const endpoints = links.flatMap((link) => {
    const endpointId = link.kind === 'veth' ? endpointOfAlias(link.alias, overlayId) : null
    if (endpointId === null) return []
    const mac = stations.get(link.index) ?? null
    return [actualEndpoint({ host, overlayId, endpointId, link, bridge, mac })]
  })
  await nextTurn()
  const entries = fdb
    .filter((message) => message.body.readUInt32LE(4) === vxlan?.index)
    .map(readFdbEntry)
    .filter((entry) => entry !== null)
  const neighbours: Neighbour[] = []
  for (const family of [rt.AF_INET, rt.AF_INET6]) {
    await nextTurn()
    if (vxlan === null) continue
    for (const message of socket.dump(getNeighbours(vxlan.index, family))) {
      const neighbour = readNeighbour(message)
      if (neighbour !== null) neighbours.push(neighbour)
    }
  }
  return { overlayId, ...actualLinks, endpoints, fdb: entries, neighbours }
}

/** The station that the bridge has behind each port; null for several. */
function stationsIn(fdb: readonly Message[]): Map<number, Mac | null> {
  const stations = new Map<number, Mac | null>()
  for (const message of fdb) {
    const entry = readPortMac(message)
    if (entry !== null) stations.set(entry.index, stations.has(entry.index) ? null : entry.mac)
  }
  return stations
}

function actualBridge(netns: OverlayNetns, { mtu, up, index }: Link): ActualBridge {
  return { mtu, up, gateways: gatewaysOf(netns.socket, index).sort() }
}

function actualVxlan({ mtu, up, vxlan }: Link): ActualVxlan | null {
  return vxlan === null ? null : { vni: vxlan.vni, mtu, up, vtep: vxlan.vtep, port: vxlan.port }
}

function actualEndpoint(found: {
  host: HostNetns
  overlayId: string
  endpointId: string
  link: Link
  bridge: Link | null
  mac: Mac | null
}): ActualEndpoint {
  const { host, overlayId, endpointId, link, bridge, mac } = found
  const parked = linkOf(host.socket, sourceNameOf(overlayId, endpointId)) !== null
  const sound = bridge !== null && wrongIn(link, portOn(bridge)).length === 0
  return { endpointId, mac, mtu: link.mtu, sound, parked }
}
