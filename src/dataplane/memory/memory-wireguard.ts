import { isDeepStrictEqual } from 'node:util'
import { failure, refusal } from '../../base/errors.ts'
import { type Ip, ipBits } from '../../net/ip.ts'
import type {
  ActualWireGuard,
  ActualWireGuardPeer,
  SetPeers,
  WireGuard,
  WireGuardDevice,
  WireGuardPeer,
  WireGuardSlot,
} from '../wireguard.ts'

/** A device in memory. */
interface MemoryDevice {
  device: WireGuardDevice
  peers: Map<string, ActualWireGuardPeer>
}

/** WireGuard devices in memory, for tests and simulations. */
export class MemoryWireGuard implements WireGuard {
  /** False for a kernel without WireGuard. */
  isSupported = true
  /** When a peer's session began, seconds since the epoch; 0 for none. */
  handshake: (device: WireGuardDevice, peer: WireGuardPeer) => number = () => 0
  /** The VTEPs that are sent to by the spare device. */
  routed: readonly Ip[] = []
  readonly #devices = new Map<WireGuardSlot, MemoryDevice>()

  async ensure(device: WireGuardDevice, slot: WireGuardSlot = 'main'): Promise<string[]> {
    if (!this.isSupported) throw refusal('UNSUPPORTED', 'this kernel has no WireGuard')
    const found = this.#devices.get(slot)
    if (found === undefined) {
      this.#devices.set(slot, { device, peers: new Map() })
      return ['WireGuard device created']
    }
    const before = found.device
    found.device = device
    return isDeepStrictEqual(before, device) ? [] : ['WireGuard device changed']
  }

  async setPeers(
    wanted: (found: readonly ActualWireGuardPeer[]) => readonly WireGuardPeer[],
    slot: WireGuardSlot = 'main',
  ): Promise<SetPeers> {
    const found = this.#existing(slot)
    const before = found.peers
    const peers = wanted([...before.values()])
    found.peers = new Map(peers.map((peer) => [peer.publicKey, this.#actual(found.device, peer)]))
    const gone = [...before.keys()].filter((key) => !found.peers.has(key))
    const changed = [...found.peers].filter(([key, peer]) => !isSame(before.get(key), peer))
    return { changed: gone.length + changed.length, peers: [...found.peers.values()] }
  }

  async routeBySpare(wanted: (found: readonly Ip[]) => readonly Ip[]): Promise<readonly Ip[]> {
    this.#existing('spare')
    return (this.routed = wanted(this.routed))
  }

  async dump(slot: WireGuardSlot = 'main'): Promise<ActualWireGuard | null> {
    return this.found(slot)
  }

  /** As `dump`. */
  found(slot: WireGuardSlot): ActualWireGuard | null {
    const found = this.#devices.get(slot)
    if (found === undefined) return null
    const { publicKey, listenPort } = found.device
    return { publicKey, listenPort, peers: [...found.peers.values()] }
  }

  async remove(slot: WireGuardSlot = 'main'): Promise<void> {
    if (slot === 'main') return this.clear()
    this.#devices.delete(slot)
    this.routed = []
  }

  /** The device that overlays need. Fails when there is none. */
  existing(): WireGuardDevice {
    return this.#existing('main').device
  }

  /** What a reboot does. */
  clear(): void {
    this.#devices.clear()
    this.routed = []
  }

  #existing(slot: WireGuardSlot): MemoryDevice {
    const found = this.#devices.get(slot)
    if (found !== undefined) return found
    throw failure('KERNEL', 'there is no WireGuard device on this host')
  }

  #actual(device: WireGuardDevice, peer: WireGuardPeer): ActualWireGuardPeer {
    const { vtep, ...rest } = peer
    const lastHandshakeSeconds = this.handshake(device, peer)
    const allowed = [`${vtep}/${ipBits(vtep)}`]
    return { ...rest, allowed, lastHandshakeSeconds, receivedBytes: 0, sentBytes: 0 }
  }
}

function isSame(before: ActualWireGuardPeer | undefined, now: ActualWireGuardPeer): boolean {
  const { lastHandshakeSeconds } = now
  return before !== undefined && isDeepStrictEqual({ ...before, lastHandshakeSeconds }, now)
}
