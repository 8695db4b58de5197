import type { Ip } from '../net/ip.ts'

/**
 * The device that carries the tunnels of all encrypted overlays, and another one while a private
 * key is replaced.
 */
export type WireGuardSlot = 'main' | 'spare'

/**
 * The port to the kernel's WireGuard. Both devices are in one namespace; a host is sent to by the
 * main one unless it has a route by the spare one, and is heard on both. Verbs are idempotent, as
 * those of the data plane.
 */
export interface WireGuard {
  /**
   * Creates the device, with its namespace, or repairs what differs; its peers stay. Refuses with
   * UNSUPPORTED where the kernel has no WireGuard.
   * @returns what was changed, in words; empty when nothing was.
   */
  ensure(device: WireGuardDevice, slot?: WireGuardSlot): Promise<string[]>

  /**
   * Gives the device just the peers that `wanted` makes of those it has. Those that are there
   * already keep their sessions. Fails with KERNEL when there is no device.
   */
  setPeers(
    wanted: (found: readonly ActualWireGuardPeer[]) => readonly WireGuardPeer[],
    slot?: WireGuardSlot,
  ): Promise<SetPeers>

  /**
   * Sends to these VTEPs by the spare device, to all others by the main one. Fails with KERNEL when
   * there is no spare device.
   * @returns what `wanted` made of the VTEPs that were sent to by it.
   */
  routeBySpare(wanted: (found: readonly Ip[]) => readonly Ip[]): Promise<readonly Ip[]>

  /** What the kernel has; null when there is no device. */
  dump(slot?: WireGuardSlot): Promise<ActualWireGuard | null>

  /** Removes the spare device, or everything. None is no error. */
  remove(slot?: WireGuardSlot): Promise<void>
}

export interface SetPeers {
  /** How many peers were written or removed. */
  readonly changed: number
  /** What the device has now. */
  readonly peers: readonly ActualWireGuardPeer[]
}

/**
 * This host's WireGuard device. It is in a namespace of its own and only its UDP socket is in the
 * host's, so nothing leaves that namespace unencrypted. Inside, the main device has this host's
 * VTEP once more, and all others are behind it: VXLAN rows are the same as without encryption. Keys
 * are base64 of 32 bytes.
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
  /** Seconds since the epoch, with a fraction; 0 for never. */
  readonly lastHandshakeSeconds: number
  readonly receivedBytes: number
  readonly sentBytes: number
}
