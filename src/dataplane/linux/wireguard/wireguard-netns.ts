import { type OverlayError, failure, refusal } from '../../../base/errors.ts'
import { type Ip, ipBits } from '../../../net/ip.ts'
import { cidrOf } from '../../../net/cidr.ts'
import type {
  ActualWireGuard,
  ActualWireGuardPeer,
  SetPeers,
  WireGuard,
  WireGuardDevice,
  WireGuardPeer,
  WireGuardSlot,
} from '../../wireguard.ts'
import { ensureAddresses } from '../links/link-addresses.ts'
import { changeLink, createWireGuard, deleteLink } from '../netlink/link-requests.ts'
import { type Link, deleteLinkFromThread } from '../netlink/link.ts'
import { wireguardPinName } from '../netlink/names.ts'
import { NetlinkSocket } from '../netlink/netlink-socket.ts'
import {
  addDefaultRoute,
  addRoute,
  getRoutes,
  hostRouteBy,
  removeRoute,
} from '../netlink/routes.ts'
import { inNetns, writeNetSysctl } from '../netns/netns.ts'
import { type NetnsHandle, OverlayNetns } from '../netns/overlay-netns.ts'
import { Pin } from '../netns/pin.ts'
import { kernelWork, named } from '../kernel-work.ts'
import { familyNumber } from './generic-netlink.ts'
import {
  familyName,
  getDevice,
  maxPeersPerMessage,
  readDevice,
  setDevice,
  setPeers,
} from './messages.ts'
import { peerChanges } from './peer-changes.ts'

const deviceNames: Readonly<Record<WireGuardSlot, string>> = { main: 'wg0', spare: 'wg1' }

/**
 * The namespace of the WireGuard device, and the device.
 *
 *     overlay's namespace │ vxlan0 ── UDP socket in this namespace ── wg0 ── UDP socket of the host
 *
 * All routes of this namespace lead to wg0, or by wg1 to one host each. Both send only to their
 * peers: without a peer nothing leaves. The namespace is pinned as those of overlays are, and
 * outlives this process.
 */
export class WireGuardNetns implements WireGuard {
  readonly #directories: readonly string[]
  readonly #warn: (message: string) => void
  readonly #host: () => NetnsHandle
  #netns: OverlayNetns | null = null
  #generic: NetlinkSocket | null = null

  /** `host` is the namespace in which the encrypted packets are sent. */
  constructor(
    directories: readonly string[],
    host: () => NetnsHandle,
    warn: (message: string) => void,
  ) {
    this.#directories = directories
    this.#host = host
    this.#warn = warn
  }

  /** The namespace, which VXLAN devices are made from. Fails with KERNEL when there is none. */
  existing(): NetnsHandle {
    const netns = this.#find()
    if (netns === null) throw noDevice()
    return netns
  }

  async ensure(device: WireGuardDevice, slot: WireGuardSlot = 'main'): Promise<string[]> {
    return kernelWork('WireGuard', () => {
      const found = this.#find()
      const netns = (this.#netns = found ?? OverlayNetns.create(this.#pin()))
      try {
        const made = found === null ? ['namespace created'] : []
        return [...made, ...this.#ensureDevice(netns, device, slot)]
      } catch (error) {
        if (found === null) this.#remove()
        throw error
      }
    })
  }

  async setPeers(
    wanted: (found: readonly ActualWireGuardPeer[]) => readonly WireGuardPeer[],
    slot: WireGuardSlot = 'main',
  ): Promise<SetPeers> {
    return kernelWork('peers of WireGuard', () => {
      const actual = this.#dump(slot)
      if (actual === null) throw noDevice()
      const changes = peerChanges(wanted(actual.peers), actual.peers)
      if (changes.length === 0) return { changed: 0, peers: actual.peers }
      const { socket, key } = this.#device(this.#netns!, slot)
      for (let first = 0; first < changes.length; first += maxPeersPerMessage)
        socket.sendAll([setPeers(key, changes.slice(first, first + maxPeersPerMessage))])
      return { changed: changes.length, peers: this.#dump(slot)?.peers ?? [] }
    })
  }

  async routeBySpare(wanted: (found: readonly Ip[]) => readonly Ip[]): Promise<readonly Ip[]> {
    return kernelWork('routes of WireGuard', () => {
      const netns = this.#find()
      const link = netns?.link(deviceNames.spare) ?? null
      if (netns === null || link === null) throw noDevice()
      const routes = (['0.0.0.0', '::'] as Ip[]).flatMap((any) => netns.socket.dump(getRoutes(any)))
      const found = routes.flatMap((route) => hostRouteBy(link.index, route) ?? [])
      const now = wanted(found)
      const route = (ip: Ip) => cidrOf(ip, ipBits(ip))
      const gone = found.filter((ip) => !now.includes(ip))
      const added = now.filter((ip) => !found.includes(ip))
      netns.socket.sendAll(gone.map((ip) => removeRoute(link.index, route(ip))))
      netns.socket.sendAll(added.map((ip) => addRoute(link.index, route(ip))))
      return now
    })
  }

  async dump(slot: WireGuardSlot = 'main'): Promise<ActualWireGuard | null> {
    return kernelWork('reading WireGuard', () => this.#dump(slot))
  }

  async remove(slot: WireGuardSlot = 'main'): Promise<void> {
    if (slot === 'main') return kernelWork('removing WireGuard', () => this.#remove())
    return named('removing WireGuard', async () => {
      const netns = this.#find()
      const link = netns?.link(deviceNames.spare) ?? null
      if (link !== null) await deleteLinkFromThread(netns!.socket, link.index)
    })
  }

  /** Closes the descriptors; the pins keep the namespace. */
  close(): void {
    this.#generic?.close()
    this.#generic = null
    this.#netns?.close()
    this.#netns = null
  }

  /**
   * Lets go of the namespace, with which the kernel removes the device in the background: removing
   * a device by name would block this thread once for each peer.
   */
  #remove(): void {
    this.close()
    this.#pin().remove()
  }

  #dump(slot: WireGuardSlot): ActualWireGuard | null {
    const netns = this.#find()
    if (netns?.link(deviceNames[slot])?.kind !== 'wireguard') return null
    const { socket, key } = this.#device(netns, slot)
    return readDevice(socket.dump(getDevice(key)))
  }

  #ensureDevice(netns: OverlayNetns, device: WireGuardDevice, slot: WireGuardSlot): string[] {
    const { privateKey, publicKey, listenPort, mtu, vtep } = device
    const made = this.#ensureLink(netns, deviceNames[slot], mtu)
    const { socket, key } = this.#device(netns, slot)
    const actual = readDevice(socket.dump(getDevice(key)))
    const changed = made === null ? [] : [made]
    if (actual.publicKey !== publicKey || actual.listenPort !== listenPort) {
      socket.sendAll([setDevice(key, privateKey, listenPort)])
      changed.push('key and port set')
    }
    const link = netns.link(deviceNames[slot])!
    const isMain = slot === 'main'
    if (!isMain && made !== null) inNetns(netns.fd, allowAsymmetricRoutes)
    if (isMain)
      changed.push(...ensureAddresses(netns.socket, link.index, [`${vtep}/${ipBits(vtep)}`]))
    if (link.mtu !== mtu || !link.up) {
      setUp(netns.socket, link, { mtu, listenPort })
      changed.push('MTU and state set')
    }
    // Goes with the address or when the device goes down, and is there otherwise.
    if (isMain && changed.length > 0) netns.socket.sendAll([addDefaultRoute(link.index, vtep)])
    return changed
  }

  /** @returns what was changed, in words; null for nothing. */
  #ensureLink(netns: OverlayNetns, name: string, mtu: number): string | null {
    const link = netns.link(name)
    if (link?.kind === 'wireguard') return null
    if (link !== null) netns.socket.sendAll([deleteLink(link.index)])
    const request = createWireGuard(name, mtu, netns.fd)
    const [error] = this.#host().socket.send([request]).values()
    if (error === undefined) return 'WireGuard device created'
    if (error.code !== 'EOPNOTSUPP') throw error
    const remedy = 'load it with "modprobe wireguard" on the host, or use a kernel that has it'
    throw refusal(
      'UNSUPPORTED',
      `encrypted networks need WireGuard, which this kernel does not have: ${remedy}`,
    )
  }

  #device(netns: OverlayNetns, slot: WireGuardSlot) {
    this.#generic ??= inNetns(netns.fd, () => new NetlinkSocket(undefined, 'generic'))
    const family = familyNumber(this.#generic, familyName)
    return { socket: this.#generic, key: { family, name: deviceNames[slot] } }
  }

  #find(): OverlayNetns | null {
    if (this.#netns?.isPinned === true) return this.#netns
    this.close()
    this.#netns = OverlayNetns.open(this.#pin())
    return this.#netns
  }

  #pin(): Pin {
    return new Pin(this.#directories, wireguardPinName, this.#warn)
  }
}

/**
 * Has the namespace accept packets by the device that it does not send by: rp_filter, which it has
 * from the host's namespace, would drop them (RFC 3704).
 */
function allowAsymmetricRoutes(): void {
  for (const link of ['all', ...Object.values(deviceNames)])
    writeNetSysctl(`ipv4/conf/${link}/rp_filter`, '0')
}

function noDevice(): OverlayError {
  return failure('KERNEL', 'there is no WireGuard device on this host')
}

/** Opens the UDP socket, which fails when another program has the port. */
function setUp(
  socket: NetlinkSocket,
  link: Link,
  { mtu, listenPort }: { mtu: number; listenPort: number },
): void {
  const [error] = socket.send([changeLink(link.index, { mtu, up: true })]).values()
  if (error === undefined) return
  if (error.code !== 'EADDRINUSE') throw error
  throw failure(
    'KERNEL',
    `another program has UDP port ${listenPort} (EADDRINUSE); stop it ("ss -lunp" shows which), or ` +
      'set WIREGUARD_PORT to another port',
    error,
  )
}
