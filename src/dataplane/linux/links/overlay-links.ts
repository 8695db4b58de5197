import { failure } from '../../../base/errors.ts'
import type { OverlayLinks } from '../../dataplane.ts'
import { ipFromBytes } from '../../../net/ip.ts'
import type { Tunnel } from '../filter/host-filter.ts'
import { linkLocal } from '../filter/port-filter.ts'
import type { Link } from '../netlink/link.ts'
import { configureLink, ownLink, repairLink } from './link-config.ts'
import { createBridge, createVxlan, deleteLink } from '../netlink/link-requests.ts'
import { aliasOf, bridgeName, deviceMac, vxlanName } from '../netlink/names.ts'
import type { Request } from '../netlink/message.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/netlink-socket.ts'
import { netnsIdOf } from '../netns/netns-ids.ts'
import type { NetnsHandle, OverlayNetns } from '../netns/overlay-netns.ts'
import { ensureAddresses } from './link-addresses.ts'
import { type WithNetns, freeVni } from './vni-owner.ts'

/**
 * The bridge and VXLAN device of an overlay.
 *
 *     container ── veth ── port ┐
 *     container ── veth ── port ┤ br0 (gateway addresses)
 *                       vxlan0 ─┘   → UDP socket in the host's namespace → VTEP of the peer
 *
 * Learning is off. The bridge has a static FDB entry for each endpoint of this host; frames for all
 * other MAC addresses leave by vxlan0 alone, which sends to the VTEPs in its FDB and drops the
 * rest, answers ARP and neighbour discovery itself and sends no broadcast. So frames cannot loop,
 * and no container sees frames that are not for it.
 *
 * With multicast, the bridge sends a group's frames to the ports that joined it (RFC 4541), where
 * vxlan0 is one for the other hosts, and broadcasts and 224.0.0.0/24 to all. What vxlan0 receives
 * does not return to it, so no frame loops.
 */

/** The only port to which the bridge floods frames for MAC addresses that it has no entry for. */
const vxlanPort = { learning: false, flood: true }

/**
 * Creates or repairs both; `tunnels` is the namespace of the UDP socket. @returns what was changed,
 * in words.
 */
export function ensureLinks(
  netns: OverlayNetns,
  tunnels: NetnsHandle,
  links: OverlayLinks,
  withNetns: WithNetns,
): string[] {
  const bridge = ensureBridge(netns, links)
  const free = (): string => freeVni(tunnels, links, withNetns)
  const vxlan = ensureVxlan(netns, tunnels, links, { master: bridge.index, free })
  const wanted = [...links.gateways, ...querierAddress(links)]
  const gateways = ensureAddresses(netns.socket, bridge.index, wanted)
  return [...bridge.changed, ...vxlan, ...gateways]
}

function ensureBridge(
  netns: OverlayNetns,
  links: OverlayLinks,
): { index: number; changed: string[] } {
  const { overlayId, mtu, multicast: snooping = false } = links
  const mac = deviceMac(`bridge ${overlayId}`)
  const desired = { mac, mtu, alias: aliasOf(overlayId), snooping, up: true }
  const found = ownLink(netns, bridgeName, 'bridge', overlayId)
  if (found !== null)
    return { index: found.index, changed: repairLink(netns.socket, found, desired) }
  netns.socket.sendAll([createBridge(bridgeName, mac, mtu)])
  configureLink(netns.socket, bridgeName, desired)
  const made = netns.link(bridgeName)
  if (made === null) throw failure('KERNEL', `overlay ${overlayId}: the new bridge is gone`)
  return { index: made.index, changed: ['bridge created'] }
}

/** What MLD queries are sent from: each host's link-local address (RFC 3810, section 5.1.14). */
function querierAddress({ overlayId, vtep, gateways, multicast }: OverlayLinks): string[] {
  if (multicast !== true || !gateways.some((gateway) => gateway.includes(':'))) return []
  return [`${ipFromBytes(linkLocal(deviceMac(`vxlan ${overlayId} ${vtep}`)))}/64`]
}

function ensureVxlan(
  netns: OverlayNetns,
  tunnels: NetnsHandle,
  links: OverlayLinks,
  { master, free }: { master: number; free: () => string },
): string[] {
  const { overlayId, vni, vtep, port, mtu } = links
  const mac = deviceMac(`vxlan ${overlayId} ${vtep}`)
  const desired = { mac, mtu, alias: aliasOf(overlayId), master, port: vxlanPort, up: true }
  const found = ownLink(netns, vxlanName, 'vxlan', overlayId)
  const reason =
    found === null ? null : whyRecreate(found, links, netnsIdOf(netns.socket, tunnels.fd))
  if (found !== null && reason === null) return repairLink(netns.socket, found, desired)
  if (found !== null) netns.socket.sendAll([deleteLink(found.index)])
  const device = { name: vxlanName, mac, mtu, vni, vtep, port, netnsFd: netns.fd, master }
  const freed = createOnFreeVni(tunnels.socket, createVxlan(device), free)
  try {
    configureLink(netns.socket, vxlanName, desired)
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== 'EADDRINUSE') throw error
    throw failure(
      'KERNEL',
      `overlay ${overlayId}: another program or VXLAN device has UDP port ${port} (EADDRINUSE); stop or ` +
        'remove it ("ss -lunp" and "ip -d link show type vxlan" show which), or set VXLAN_PORT to another port on every host',
      error,
    )
  }
  return [...freed, reason === null ? 'VXLAN device created' : `VXLAN device recreated: ${reason}`]
}

/**
 * Removes a leftover device of ours that has the VNI; any other stays. @returns what was removed.
 */
function createOnFreeVni(socket: NetlinkSocket, request: Request, free: () => string): string[] {
  try {
    socket.sendAll([request])
    return []
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== 'EEXIST') throw error
    const freed = free()
    socket.sendAll([request])
    return [freed]
  }
}

/**
 * The property for which a VXLAN device has to be recreated, as it cannot be changed; null for
 * none.
 */
function whyRecreate(link: Link, links: OverlayLinks, netnsId: number | null): string | null {
  const { vxlan } = link
  if (vxlan === null) return 'it was of another kind'
  if (vxlan.vni !== links.vni) return `VNI ${vxlan.vni}, now ${links.vni}`
  if (vxlan.vtep !== links.vtep) return `VTEP ${vxlan.vtep}, now ${links.vtep}`
  if (vxlan.port !== links.port) return `port ${vxlan.port}, now ${links.port}`
  if (!vxlan.isProxyOnly) return 'it learned, reported misses or did not answer ARP'
  if (link.linkNetnsId === null || link.linkNetnsId !== netnsId)
    return 'its socket was in another namespace'
  return null
}

/** UDP port and VNI of the VXLAN device that is there; null when there is none. */
export function tunnelOf(netns: OverlayNetns): Tunnel | null {
  return netns.link(vxlanName)?.vxlan ?? null
}

/** The VXLAN device; fails with KERNEL when there is none. */
export function vxlanOf(netns: OverlayNetns, overlayId: string): Link {
  const link = netns.link(vxlanName)
  if (link === null) throw failure('KERNEL', `overlay ${overlayId} has no VXLAN device`)
  return link
}
