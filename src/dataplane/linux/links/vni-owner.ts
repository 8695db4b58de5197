import { sleep, systemClock } from '../../../base/clock.ts'
import { refusal } from '../../../base/errors.ts'
import type { Vni } from '../../../net/vni.ts'
import type { OverlayLinks } from '../../dataplane.ts'
import { type Link, listLinks, readLink } from '../netlink/link.ts'
import { deleteLink, getLinks } from '../netlink/link-requests.ts'
import { isMarked, overlayOfAlias } from '../netlink/names.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/netlink-socket.ts'
import { netnsIdOf, netnsIds, netnsPathOf } from '../netns/netns-ids.ts'
import type { NetnsHandle } from '../netns/overlay-netns.ts'

/**
 * The owner of a VNI. A VXLAN device keeps its VNI in the namespace where it was created, wherever
 * it has been moved since, and the kernel refuses the VNI a second time without saying who has it.
 * Devices that were moved are in namespaces that have an id in the host's namespace, and ours get
 * one when they are created; all of these are searched.
 */

interface VniOwner {
  readonly link: Link
  /** The id that the host's namespace has for the device's; null for the host's own. */
  readonly netnsId: number | null
}

/**
 * Calls `visit` with a descriptor of the namespace that an overlay has now; null when it has none.
 */
export type WithNetns = <T>(overlayId: string, visit: (fd: number | null) => T) => T

/**
 * The VNI is in use by a device that cannot be found. That is so for some 100 ms while the kernel
 * removes a namespace that nobody holds any more; then it is worth trying again.
 */
class UnknownVniOwner extends Error {
  override readonly name = 'UnknownVniOwner'
}

/** Attempts to find the owner of a VNI, over one second. */
const maxAttempts = 21
const attemptIntervalMs = 50

/** Does work that creates a VXLAN device, and again while the owner of its VNI cannot be found. */
export async function retryUnknownOwner<T>(
  { overlayId, vni }: OverlayLinks,
  work: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof UnknownVniOwner)) throw error
      if (attempt === maxAttempts)
        throw refusal(
          'VNI_IN_USE',
          `overlay ${overlayId}: another VXLAN device of this host has VNI ${vni} and could not be ` +
            'found; look for it with "ip -d link show type vxlan" in every network namespace',
        )
      await sleep(systemClock, attemptIntervalMs)
    }
  }
}

/**
 * Removes a VXLAN device with this VNI that an earlier process left for this overlay, or for
 * another that has a different namespace now. Refuses when another overlay or a foreign device has
 * the VNI.
 * @returns what was removed, in words.
 */
export function freeVni(host: NetnsHandle, links: OverlayLinks, withNetns: WithNetns): string {
  const { overlayId, vni } = links
  const owner = findOwner(host, links)
  if (owner === null) throw new UnknownVniOwner(`the owner of VNI ${vni} cannot be found`)
  const { link, netnsId } = owner
  const other = isMarked(link, overlayId) ? overlayId : overlayOfAlias(link.alias)
  if (other !== null && (other === overlayId || isLeftover(host, owner, other, withNetns))) {
    host.socket.sendAll([deleteLink(link.index, netnsId ?? undefined)])
    return `leftover VXLAN device of overlay ${other} removed`
  }
  throw refusal(
    'VNI_IN_USE',
    other === null
      ? `overlay ${overlayId}: VXLAN device ${link.name} has VNI ${vni} and is not ours; give the ` +
          `network another VNI with -o vni=, or remove the device: ${remedy(host.socket, owner)}`
      : `overlay ${overlayId}: overlay ${other} has VNI ${vni} on this host; give the network ` +
          'another one with -o vni=',
  )
}

/** Whether the device is elsewhere than in the namespace that its overlay has now. */
function isLeftover(
  { socket }: NetnsHandle,
  { netnsId }: VniOwner,
  overlayId: string,
  withNetns: WithNetns,
): boolean {
  return withNetns(overlayId, (fd) => fd === null || netnsIdOf(socket, fd) !== netnsId)
}

function findOwner(host: NetnsHandle, wanted: { vni: Vni; port: number }): VniOwner | null {
  const { socket, fd } = host
  const here = listLinks(socket).map((link) => ({ link, netnsId: null }))
  const elsewhere = netnsIds(socket).flatMap((netnsId) =>
    linksIn(socket, netnsId).map((link) => ({ link, netnsId })),
  )
  const same = ({ link }: VniOwner): boolean =>
    link.vxlan?.vni === wanted.vni && link.vxlan.port === wanted.port
  const own = netnsIdOf(socket, fd)
  // A device created in another namespace than the host's does not conflict, whatever its VNI.
  return (
    here.find((owner) => same(owner) && [null, own].includes(owner.link.linkNetnsId)) ??
    elsewhere.find((owner) => same(owner) && owner.link.linkNetnsId === own) ??
    null
  )
}

function remedy(socket: NetlinkSocket, { link, netnsId }: VniOwner): string {
  if (netnsId === null) return `ip link delete ${link.name}`
  const path = netnsPathOf(socket, netnsId)
  if (path !== null) return `nsenter --net=${path} ip link delete ${link.name}`
  return (
    `find its network namespace with "lsns -t net -o NETNSID,PID,NSFS,COMMAND", NETNSID ${netnsId}, ` +
    `and there: ip link delete ${link.name}`
  )
}

function linksIn(socket: NetlinkSocket, netnsId: number): Link[] {
  try {
    return socket.dump(getLinks(0, netnsId)).map(readLink)
  } catch (error) {
    // Gone meanwhile, or owned by another user namespace.
    if (error instanceof NetlinkError) return []
    throw error
  }
}
