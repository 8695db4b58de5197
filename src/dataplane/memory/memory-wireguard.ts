import { isDeepStrictEqual } from 'node:util'
import { failure, refusal } from '../../base/errors.ts'
import { ipBits } from '../../net/ip.ts'
import type {
  ActualWireGuard,
  ActualWireGuardPeer,
  WireGuard,
  WireGuardDevice,
  WireGuardPeer,
} from '../wireguard.ts'

/** A WireGuard device in memory, for tests and simulations. */
export class MemoryWireGuard implements WireGuard {
  /** False for a kernel without WireGuard. */
  isSupported = true
  #device: WireGuardDevice | null = null
  #peers = new Map<string, ActualWireGuardPeer>()

  async ensure(device: WireGuardDevice): Promise<string[]> {
    if (!this.isSupported) throw refusal('UNSUPPORTED', 'this kernel has no WireGuard')
    const before = this.#device
    this.#device = device
    if (before === null) return ['namespace created', 'WireGuard device created']
    return isDeepStrictEqual(before, device) ? [] : ['WireGuard device changed']
  }

  async setPeers(peers: readonly WireGuardPeer[]): Promise<number> {
    this.existing()
    const wanted = new Map(peers.map((peer) => [peer.publicKey, actualOf(peer)]))
    const gone = [...this.#peers.keys()].filter((key) => !wanted.has(key))
    const changed = [...wanted].filter(
      ([key, peer]) => !isDeepStrictEqual(this.#peers.get(key), peer),
    )
    this.#peers = wanted
    return gone.length + changed.length
  }

  async dump(): Promise<ActualWireGuard | null> {
    if (this.#device === null) return null
    const { publicKey, listenPort } = this.#device
    return { publicKey, listenPort, peers: [...this.#peers.values()] }
  }

  async remove(): Promise<void> {
    this.clear()
  }

  /** The device. Fails when there is none. */
  existing(): WireGuardDevice {
    if (this.#device !== null) return this.#device
    throw failure('KERNEL', 'there is no WireGuard device on this host')
  }

  /** What a reboot does. */
  clear(): void {
    this.#device = null
    this.#peers.clear()
  }
}

function actualOf({ vtep, ...peer }: WireGuardPeer): ActualWireGuardPeer {
  const allowed = [`${vtep}/${ipBits(vtep)}`]
  return { ...peer, allowed, lastHandshakeSeconds: 0, receivedBytes: 0, sentBytes: 0 }
}
