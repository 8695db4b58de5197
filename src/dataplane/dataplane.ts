import type { Cidr, IpInCidr } from '../net/cidr.ts'
import type { Ip } from '../net/ip.ts'
import type { Mac } from '../net/mac.ts'
import type { Vni } from '../net/vni.ts'
import type { WireGuard } from './wireguard.ts'

/**
 * The data plane is everything that frames pass through on this host: per overlay one network
 * namespace with a bridge and a VXLAN device, per endpoint a veth pair, and for each peer an FDB
 * entry (MAC → VTEP) and a neighbour (IP → MAC).
 *
 * This file is the port: what may be asked of a kernel, as plain data that can be cloned to a
 * worker thread. `linux/` implements it with rtnetlink, `memory/` for tests. The invariants of
 * every implementation: each verb may be repeated, after a crash at any step too, and then does
 * only what is still missing; a link that does not carry our mark is never changed; an FDB entry
 * has one VTEP. Which rows there should be, and when they are written, is decided in `reconcile/`.
 */
export interface Dataplane {
  /** The WireGuard device, through which the tunnels of encrypted overlays run. */
  readonly wireGuard: WireGuard

  /**
   * Checks rights and kernel, and removes what a crash left incomplete. Must be called before
   * anything else. Refuses with UNSUPPORTED and the remedy when something is missing.
   */
  start(): Promise<void>

  /**
   * Creates the overlay's namespace, bridge and VXLAN device, or repairs what differs from `links`.
   * A VXLAN device whose VNI, port or VTEP differs is recreated, which loses its rows: call `dump`
   * after it. Refuses with VNI_IN_USE when another overlay or a foreign device on this host has the
   * VNI.
   * @returns what was changed, in words; empty when nothing was.
   */
  ensureOverlay(links: OverlayLinks): Promise<string[]>

  /** Removes the overlay's namespace with everything in it. When it resolves, the VNI is free. */
  removeOverlay(overlayId: string): Promise<void>

  /**
   * Creates or repairs the endpoint's veth pair. Fails with KERNEL when the overlay does not exist.
   */
  ensureEndpoint(overlayId: string, link: EndpointLink): Promise<EnsuredEndpoint>

  /**
   * Repairs the veth pair of an endpoint that the engine has, or creates it again after it was
   * removed: with the other end where the engine had put it, in the sandbox, with its addresses,
   * up. A pair in the host's namespace would be of no use, as the engine would not move it any
   * more.
   * @returns 'missing' when there is no pair, and the sandbox is unknown or gone.
   */
  restoreEndpoint(overlayId: string, link: EndpointLink): Promise<RestoreOutcome>

  /**
   * Gives the endpoint's link its MTU and its routes in the sandbox that the engine has moved it
   * to, as after its overlay got a subnet. In the host's namespace it has them by the engine.
   * @returns false when the sandbox is unknown or gone.
   */
  configureInSandbox(overlayId: string, link: EndpointLink): Promise<boolean>

  /** Removes the endpoint's veth pair by whichever end is left. Neither is no error. */
  removeEndpoint(overlayId: string, endpointId: string): Promise<void>

  /**
   * Writes rows in order. A set replaces, or adds to the default destination; a remove of a row
   * that is not there succeeds. A row that fails does not stop the others. Rejects when the overlay
   * does not exist or when the outcome is not known; then `dump` reads the actual rows.
   * @returns the rows that failed.
   */
  apply(overlayId: string, changes: readonly RowChange[]): Promise<FailedRowChange[]>

  /**
   * Admits frames of the overlay from these VTEPs only. Called with a VTEP before rows lead to it.
   * Rejects as `apply` does.
   */
  setTunnelSources(overlayId: string, vteps: readonly Ip[]): Promise<void>

  /**
   * Makes what filters for all overlays, as it is not or not any more. Rejects with KERNEL.
   * @returns what was changed, in words; then each overlay's part of it is to be audited.
   */
  ensureHost(): Promise<string[]>

  /** What the kernel has of an overlay; null when it has no namespace. */
  dump(overlayId: string): Promise<ActualOverlay | null>

  /** The links of an overlay, for diagnosis; null when it has no namespace. */
  linkStates(overlayId: string): Promise<OverlayLinkStates | null>

  /** Where a packet to that VTEP leaves this host; null when there is no route. */
  routeTo(vtep: Ip): Promise<UnderlayRoute | null>

  /** What of this kernel is in use. */
  features(): Promise<KernelFeatures>

  /** The overlays that have a namespace on this host. */
  overlays(): Promise<string[]>

  /**
   * The MTU in bytes of the underlay interface with that address, or of the default route's where
   * frames cannot leave by that interface. Refuses when no interface has it.
   */
  underlayMtu(vtep: Ip): Promise<number>

  /** Closes descriptors. Namespaces, links and rows stay, and traffic goes on. */
  close(): Promise<void>
}

/** An overlay's links on this host. */
export interface OverlayLinks {
  readonly overlayId: string
  readonly vni: Vni
  /** Of bridge, VXLAN device and veths, in bytes, without the tunnel's overhead. */
  readonly mtu: number
  /** This host's tunnel end: the source address of what the VXLAN device sends. */
  readonly vtep: Ip
  /** UDP port of the tunnels, the same on every host. */
  readonly port: number
  /** The bridge's own addresses, each `ip/length`. */
  readonly gateways: readonly string[]
  /** The tunnels run inside WireGuard, whose device has to be there; not by default. */
  readonly encrypted?: boolean
  /** Whether containers may send from addresses that are not theirs; deny by default. */
  readonly spoofing?: 'deny' | 'allow'
  /**
   * Whether the bridge learns who joined which group, and frames to groups and broadcasts leave by
   * the default destination; otherwise they stay on this host, which is the default.
   */
  readonly multicast?: boolean
}

/** An endpoint of this host as a link: a veth pair between the overlay's bridge and a sandbox. */
export interface EndpointLink {
  readonly endpointId: string
  /** Of the container's end. */
  readonly mac: Mac
  /** Of both ends, in bytes. */
  readonly mtu: number
  /** The filter lets the container send from these. */
  readonly addresses: readonly IpInCidr[]
  /** The file of the container's namespace, as the engine names it; null while it is not known. */
  readonly sandboxKey: string | null
  /** Prefixes besides its addresses' that the container reaches by this link; none by default. */
  readonly routes?: readonly Cidr[]
}

export type RestoreOutcome = 'unchanged' | 'repaired' | 'missing'

export interface EnsuredEndpoint {
  /** The name the container's end has in the host's namespace, for the answer to Join. */
  readonly sourceName: string
  /** What was changed, in words; empty when nothing was. */
  readonly changed: string[]
}

/**
 * The VTEP that frames for a MAC address are sent to. The address of zeros is the default
 * destination, of which every VTEP gets a copy.
 */
export interface FdbEntry {
  readonly mac: Mac
  readonly vtep: Ip
}

/** The MAC address with which ARP and neighbour discovery for an IP address are answered. */
export interface Neighbour {
  readonly ip: Ip
  readonly mac: Mac
}

/**
 * One row to write or to remove. The remove of an FDB entry leaves an entry for another VTEP alone;
 * the remove of a neighbour removes whatever the address has.
 */
export type RowChange =
  | ({ readonly op: 'set' | 'remove'; readonly kind: 'fdb' } & FdbEntry)
  | ({ readonly op: 'set' | 'remove'; readonly kind: 'neighbour' } & Neighbour)

export interface FailedRowChange {
  readonly change: RowChange
  /** errno name and the kernel's extended acknowledgement. */
  readonly error: string
}

/**
 * What a kernel has of one overlay, except for bridge and VXLAN device: `ensureOverlay` checks
 * these.
 */
export interface ActualOverlay {
  readonly overlayId: string
  readonly endpoints: readonly ActualEndpoint[]
  readonly fdb: readonly FdbEntry[]
  readonly neighbours: readonly Neighbour[]
  /** The VTEPs whose frames are admitted. */
  readonly sources: readonly Ip[]
  /** Frames of its containers that the filter dropped since it was created, by reason. */
  readonly dropped: Readonly<Record<string, number>>
  /** Frames of any overlay that did not come from an admitted VTEP, since the filter was made. */
  readonly tunnelDrops: number
  /** What passed the VXLAN device since it was made; null when there is none. */
  readonly traffic: EndpointTraffic | null
  readonly fastPath: FastPathStatus
}

/** The way past the bridge for frames whose way is known. */
export interface FastPathStatus {
  /** Why all frames take the bridge, or some of them may; null when nothing is amiss. */
  readonly reason: string | null
  /** What endpoints sent and received past the bridge, by id. */
  readonly endpoints: Readonly<Record<string, EndpointTraffic>>
}

export interface EndpointTraffic {
  readonly sent: Traffic
  readonly received: Traffic
}

/** Frames as the kernel hands them on, each of one segment or more, and their bytes. */
export interface Traffic {
  readonly frames: number
  readonly bytes: number
}

export interface LinkState {
  readonly up: boolean
  /** Whether the other end of a veth pair, the container's, is up, too. */
  readonly carrier: boolean
  readonly mtu: number
}

export interface OverlayLinkStates {
  readonly bridge: LinkState | null
  readonly vxlan:
    (LinkState & { readonly vni: Vni; readonly vtep: Ip | null; readonly port: number }) | null
  /** The ports of the bridge, by endpoint id. */
  readonly ports: Readonly<Record<string, LinkState>>
  /** Frames of any overlay that did not come from an admitted VTEP, since the filter was made. */
  readonly tunnelDrops: number
}

export interface UnderlayRoute extends LinkState {
  readonly device: string
}

export interface KernelFeatures {
  /** Whether frames are filtered; `unsupported` where the kernel has no nf_tables. */
  readonly filter: 'on' | 'off' | 'unsupported'
  /** Why there is no fast path; null when there is one. */
  readonly noFastPath: string | null
}

/** An endpoint's veth pair as seen from the overlay's namespace. */
export interface ActualEndpoint {
  readonly endpointId: string
  /** The address that the bridge has for the container's end; null when it has none or several. */
  readonly mac: Mac | null
  readonly mtu: number
  /** The addresses that it may send from; null when it may send from any. */
  readonly ips: readonly Ip[] | null
  /** Whether the rest of the bridge port's configuration is as `ensureEndpoint` leaves it. */
  readonly portConfigured: boolean
  /** Whether the container's end is still in the host's namespace, where Join leaves it. */
  readonly inHostNetns: boolean
}
