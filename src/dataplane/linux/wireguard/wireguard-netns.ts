import { type OverlayError, failure, refusal } from '../../../base/errors.ts'
import { ipBits } from '../../../net/ip.ts'
import type { ActualWireGuard, WireGuard, WireGuardDevice, WireGuardPeer } from '../../wireguard.ts'
import { ensureAddresses } from '../links/link-addresses.ts'
import { addDefaultRoute } from '../netlink/addresses.ts'
import { changeLink, createWireGuard, deleteLink } from '../netlink/link-requests.ts'
import type { Link } from '../netlink/link.ts'
import { wireguardPinName } from '../netlink/names.ts'
import { NetlinkSocket } from '../netlink/netlink-socket.ts'
import { inNetns } from '../netns/netns.ts'
import { type NetnsHandle, OverlayNetns } from '../netns/overlay-netns.ts'
import { Pin } from '../netns/pin.ts'
import { kernelWork } from '../kernel-work.ts'
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

const deviceName = 'wg0'

/**
 * The namespace of the WireGuard device, and the device.
 *
 *     overlay's namespace │ vxlan0 ── UDP socket in this namespace ── wg0 ── UDP socket of the host
 *
 * All routes of this namespace lead to wg0, and wg0 sends only to its peers: without a peer nothing
 * leaves. The namespace is pinned as those of overlays are, and outlives this process.
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

  async ensure(device: WireGuardDevice): Promise<string[]> {
    return kernelWork('WireGuard', () => {
      const found = this.#find()
      const netns = (this.#netns = found ?? OverlayNetns.create(this.#pin()))
      try {
        const made = found === null ? ['namespace created'] : []
        return [...made, ...this.#ensureDevice(netns, device)]
      } catch (error) {
        if (found === null) this.#remove()
        throw error
      }
    })
  }

  async setPeers(peers: readonly WireGuardPeer[]): Promise<number> {
    return kernelWork('peers of WireGuard', () => {
      const actual = this.#dump()
      if (actual === null) throw noDevice()
      const changes = peerChanges(peers, actual.peers)
      const { socket, key } = this.#device(this.#netns!)
      for (let first = 0; first < changes.length; first += maxPeersPerMessage)
        socket.sendAll([setPeers(key, changes.slice(first, first + maxPeersPerMessage))])
      return changes.length
    })
  }

  async dump(): Promise<ActualWireGuard | null> {
    return kernelWork('reading WireGuard', () => this.#dump())
  }

  async remove(): Promise<void> {
    kernelWork('removing WireGuard', () => this.#remove())
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

  #dump(): ActualWireGuard | null {
    const netns = this.#find()
    if (netns?.link(deviceName)?.kind !== 'wireguard') return null
    const { socket, key } = this.#device(netns)
    return readDevice(socket.dump(getDevice(key)))
  }

  #ensureDevice(netns: OverlayNetns, device: WireGuardDevice): string[] {
    const { privateKey, publicKey, listenPort, mtu } = device
    const made = this.#ensureLink(netns, device)
    const { socket, key } = this.#device(netns)
    const actual = readDevice(socket.dump(getDevice(key)))
    const changed = made === null ? [] : [made]
    if (actual.publicKey !== publicKey || actual.listenPort !== listenPort) {
      socket.sendAll([setDevice(key, privateKey, listenPort)])
      changed.push('key and port set')
    }
    const link = netns.link(deviceName)!
    const address = `${device.vtep}/${ipBits(device.vtep)}`
    changed.push(...ensureAddresses(netns.socket, link.index, [address]))
    if (link.mtu !== mtu || !link.up) {
      setUp(netns.socket, link, { mtu, listenPort })
      changed.push('MTU and state set')
    }
    // Goes with the address or when the device goes down, and is there otherwise.
    if (changed.length > 0) netns.socket.sendAll([addDefaultRoute(link.index, device.vtep)])
    return changed
  }

  /** @returns what was changed, in words; null for nothing. */
  #ensureLink(netns: OverlayNetns, { mtu }: WireGuardDevice): string | null {
    const link = netns.link(deviceName)
    if (link?.kind === 'wireguard') return null
    if (link !== null) netns.socket.sendAll([deleteLink(link.index)])
    const request = createWireGuard(deviceName, mtu, netns.fd)
    const [error] = this.#host().socket.send([request]).values()
    if (error === undefined) return 'WireGuard device created'
    if (error.code !== 'EOPNOTSUPP') throw error
    const remedy = 'load it with "modprobe wireguard" on the host, or use a kernel that has it'
    throw refusal(
      'UNSUPPORTED',
      `encrypted networks need WireGuard, which this kernel does not have: ${remedy}`,
    )
  }

  #device(netns: OverlayNetns): { socket: NetlinkSocket; key: { family: number; name: string } } {
    this.#generic ??= inNetns(netns.fd, () => new NetlinkSocket(undefined, 'generic'))
    const family = familyNumber(this.#generic, familyName)
    return { socket: this.#generic, key: { family, name: deviceName } }
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
