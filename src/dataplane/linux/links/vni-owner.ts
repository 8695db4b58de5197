import { sleep, systemClock } from '../../../base/clock.ts'
import { refusal } from '../../../base/errors.ts'
import type { Vni } from '../../../net/vni.ts'
import type { OverlayLinks } from '../../dataplane.ts'
import { type Link, readLink } from '../netlink/link.ts'
import { deleteLink, getLinks } from '../netlink/link-requests.ts'
import { isMarked, overlayOfAlias } from '../netlink/names.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/netlink-socket.ts'
import { netnsIdOf, netnsIds, netnsPathOf } from '../netns/netns-ids.ts'
import { type NetnsHandle, listLinks } from '../netns/overlay-netns.ts'

/**
 * Who has a VNI. A VXLAN device keeps its VNI in the namespace where it was made, wherever it lies now,
 * and the kernel refuses the VNI a second time without saying where the first one is. Devices that were
 * moved lie in namespaces that the host's namespace knows by number, and ours are given a number when
 * they are made; all of these are searched.
 */

interface VniOwner {
  readonly link: Link
  /** The number by which the host knows the namespace; null for the host's own. */
  readonly netnsId: number | null
}

/** Finds the namespace that an overlay has now, by its descriptor; null when it has none. */
export type FindNetns = <T>(overlayId: string, look: (fd: number | null) => T) => T

/**
 * The VNI is taken by a device that is nowhere to be found. That is so for some 100 ms while the kernel
 * clears a namespace away that nobody holds any more; then it is worth trying again.
 */
class UnknownVniOwner extends Error {
  override readonly name = 'HiddenHolder'
}

/** A VNI whose holder is not to be found is waited for that often and that long: a second. */
const maxAttempts = 21
const attemptIntervalMs = 50

/** Does work that makes a VXLAN device, and again while the holder of its VNI is not to be found. */
export async function retryUnknownOwner<T>(
  { overlayId, vni }: OverlayLinks,
  work: () => T,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return work()
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
 * Removes what an earlier life of this overlay, or of another that does not live there any more, left with
 * its VNI. Refuses when another overlay or a stranger has it.
 * @returns what was removed, in words.
 */
export function freeVni(host: NetnsHandle, links: OverlayLinks, findNetns: FindNetns): string {
  const { overlayId, vni } = links
  const holder = findOwner(host, links)
  if (holder === null) throw new UnknownVniOwner(`the holder of VNI ${vni} is not to be found`)
  const { link, netnsId } = holder
  const other = isMarked(link, overlayId) ? overlayId : overlayOfAlias(link.alias)
  if (other !== null && (other === overlayId || isLeftover(host, holder, other, findNetns))) {
    host.socket.sendAll([deleteLink(link.index, netnsId ?? undefined)])
    return `VXLAN device removed that overlay ${other} had left`
  }
  throw refusal(
    'VNI_IN_USE',
    other === null
      ? `overlay ${overlayId}: VXLAN device ${link.name} has VNI ${vni} and is not ours; give the ` +
          `network another VNI with -o vni=, or remove the device: ${remedy(host.socket, holder)}`
      : `overlay ${overlayId}: overlay ${other} has VNI ${vni} on this host; give the network ` +
          'another one with -o vni=',
  )
}

/** Whether the device lies elsewhere than in the namespace that its overlay has now. */
function isLeftover(
  { socket }: NetnsHandle,
  { netnsId }: VniOwner,
  overlayId: string,
  findNetns: FindNetns,
): boolean {
  return findNetns(overlayId, (fd) => fd === null || netnsIdOf(socket, fd) !== netnsId)
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
  // A device made in another namespace than the host's is not in our way, whatever its VNI.
  return (
    here.find((holder) => same(holder) && [null, own].includes(holder.link.linkNetnsId)) ??
    elsewhere.find((holder) => same(holder) && holder.link.linkNetnsId === own) ??
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
