import type { Ip } from '../net/ip.ts'

/**
 * The port to the kernel's WireGuard: one device on each host carries the tunnels of all encrypted
 * overlays. Verbs are idempotent, as those of the data plane.
 */
export interface WireGuard {
  /**
   * Creates the device in its own namespace, or repairs what differs; its peers stay. Refuses with
   * UNSUPPORTED where the kernel has no WireGuard.
   * @returns what was changed, in words; empty when nothing was.
   */
  ensure(device: WireGuardDevice): Promise<string[]>

  /**
   * Gives the device just these peers. Those that are there already keep their sessions. Fails with
   * KERNEL when there is no device.
   * @returns how many peers were written or removed.
   */
  setPeers(peers: readonly WireGuardPeer[]): Promise<number>

  /** What the kernel has; null when there is no device. */
  dump(): Promise<ActualWireGuard | null>

  /** Removes the device with its namespace. None is no error. */
  remove(): Promise<void>
}

/**
 * This host's WireGuard device. It is in a namespace of its own and only its UDP socket is in the
 * host's, so nothing leaves that namespace unencrypted. Inside, this host has its VTEP once more,
 * and all others are behind the device: VXLAN rows are the same as without encryption. Keys are
 * base64 of 32 bytes.
 */
export interface WireGuardDevice {
  readonly privateKey: string
  readonly publicKey: string
  readonly listenPort: number
  readonly vtep: Ip
  /** The underlay's less what WireGuard adds, in bytes. */
  readonly mtu: number
}

/** Another host: packets from its VTEP that are encrypted with its key are accepted. */
export interface WireGuardPeer {
  readonly publicKey: string
  readonly presharedKey: string | null
  /** Where its WireGuard listens. */
  readonly endpoint: { readonly ip: Ip; readonly port: number }
  readonly vtep: Ip
  /** 0 for none. */
  readonly keepaliveSeconds: number
}

/** What a kernel has of the device. The private key is not read. */
export interface ActualWireGuard {
  readonly publicKey: string
  readonly listenPort: number
  readonly peers: readonly ActualWireGuardPeer[]
}

export interface ActualWireGuardPeer {
  readonly publicKey: string
  readonly presharedKey: string | null
  readonly endpoint: { readonly ip: Ip; readonly port: number } | null
  readonly keepaliveSeconds: number
  /** Each `ip/length`. */
  readonly allowed: readonly string[]
  /** Seconds since the epoch; 0 for never. */
  readonly lastHandshakeSeconds: number
  readonly receivedBytes: number
  readonly sentBytes: number
}
