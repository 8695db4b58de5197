import { isDeepStrictEqual } from 'node:util'
import { failure, refusal } from '../../base/errors.ts'
import type { Cidr } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import { type Mac, noMac } from '../../net/mac.ts'
import type { Vni } from '../../net/vni.ts'
import type {
  ActualOverlay,
  RowChange,
  Dataplane,
  EndpointLink,
  EnsuredEndpoint,
  FailedRowChange,
  KernelFeatures,
  OverlayLinkStates,
  OverlayLinks,
  RestoreOutcome,
  UnderlayRoute,
} from '../dataplane.ts'
import { differences, familyError, ipsOf, linkStatesOf } from './memory-links.ts'
import { MemoryWireGuard } from './memory-wireguard.ts'

/** The verbs of the port that a fault can be put into. */
export type Verb = Exclude<keyof Dataplane, 'close' | 'wireGuard'>

interface MemoryOverlay {
  links: OverlayLinks
  readonly endpoints: Map<string, MemoryEndpoint>
  readonly fdb: Map<Mac, Ip[]>
  readonly neighbours: Map<Ip, Mac>
  sources: readonly Ip[]
}

interface MemoryEndpoint {
  link: EndpointLink
  portConfigured: boolean
  inHostNetns: boolean
  /** In the sandbox, but those that the engine made. */
  routes?: readonly Cidr[]
}

/**
 * A data plane in memory with the same refusals and side effects (a VXLAN device that is recreated
 * loses its rows), for tests and simulations. Faults: `failCall` makes a call fail, `failRow` a
 * row, and `overlay` returns the tables to be altered.
 */
export class MemoryDataplane implements Dataplane {
  readonly wireGuard = new MemoryWireGuard()
  /** The sandboxes that exist. */
  readonly sandboxes = new Set<string>()
  readonly #overlays = new Map<string, MemoryOverlay>()
  readonly #faults: { readonly verb: Verb; calls: number; readonly error: Error }[] = []
  readonly #foreign = new Map<Vni, string>()
  #refuseRow: ((change: RowChange) => string | null) | null = null
  readonly #underlayMtus = new Map<Ip, number>()
  #defaultMtu: number | null = 1500

  /** The overlay's tables, to read or to damage. */
  overlay(overlayId: string): MemoryOverlay | undefined {
    return this.#overlays.get(overlayId)
  }

  /** The overlays that there are, to look at. */
  overlayIds(): string[] {
    return [...this.#overlays.keys()]
  }

  /** Makes the `nth` call of `verb` from now on fail, before it does anything. */
  failCall(verb: Verb, nth = 1, error: Error = failure('KERNEL', `${verb}: EBUSY`)): void {
    this.#faults.push({ verb, calls: nth, error })
  }

  /** Cancels faults that have not occurred yet. */
  endFaults(): void {
    this.#faults.length = 0
  }

  /** Makes rows fail for which `refuse` returns an error; null ends it. */
  failRow(refuse: ((change: RowChange) => string | null) | null): void {
    this.#refuseRow = refuse
  }

  /** Adds a foreign VXLAN device with that VNI to the host. */
  addForeignDevice(vni: Vni, name: string): void {
    this.#foreign.set(vni, name)
  }

  /** Sets an underlay interface's MTU; null for `ip` means all others, null for `mtu` none. */
  setUnderlayMtu(ip: Ip | null, mtu: number | null): void {
    if (ip === null) this.#defaultMtu = mtu
    else if (mtu !== null) this.#underlayMtus.set(ip, mtu)
  }

  /** What the engine does: moves the container's end into a sandbox, or back. */
  moveEndpoint(overlayId: string, endpointId: string, to: 'sandbox' | 'hostNetns'): void {
    const endpoint = this.#overlays.get(overlayId)?.endpoints.get(endpointId)
    if (endpoint !== undefined) endpoint.inHostNetns = to === 'hostNetns'
  }

  /** What a reboot does. */
  clear(): void {
    this.#overlays.clear()
    this.wireGuard.clear()
  }

  async start(): Promise<void> {
    this.#enter('start')
  }

  async ensureOverlay(links: OverlayLinks): Promise<string[]> {
    this.#enter('ensureOverlay')
    const overlay = this.#overlays.get(links.overlayId)
    this.#checkVni(links, overlay)
    if (links.encrypted === true) this.wireGuard.existing()
    if (overlay === undefined) {
      const rows = { fdb: new Map<Mac, Ip[]>(), neighbours: new Map<Ip, Mac>() }
      this.#overlays.set(links.overlayId, { links, endpoints: new Map(), ...rows, sources: [] })
      return ['namespace created', 'bridge created', 'VXLAN device created']
    }
    const changed = differences(overlay.links, links)
    if (changed.some((what) => what.startsWith('VXLAN device'))) {
      overlay.fdb.clear()
      overlay.neighbours.clear()
      if (overlay.links.vni !== links.vni) overlay.sources = []
    }
    overlay.links = links
    return changed
  }

  async removeOverlay(overlayId: string): Promise<void> {
    this.#enter('removeOverlay')
    this.#overlays.delete(overlayId)
  }

  async ensureEndpoint(overlayId: string, link: EndpointLink): Promise<EnsuredEndpoint> {
    this.#enter('ensureEndpoint')
    const { endpoints } = this.#existing(overlayId)
    const sourceName = `tso-${link.endpointId}`.slice(0, 15)
    const changed = repaired(endpoints, link)
    if (changed !== null) return { sourceName, changed }
    endpoints.set(link.endpointId, { link, portConfigured: true, inHostNetns: true })
    return { sourceName, changed: ['veth pair created'] }
  }

  async restoreEndpoint(overlayId: string, link: EndpointLink): Promise<RestoreOutcome> {
    this.#enter('restoreEndpoint')
    const { endpoints } = this.#existing(overlayId)
    const changed = repaired(endpoints, link)
    if (changed !== null) return changed.length > 0 ? 'repaired' : 'unchanged'
    if (link.sandboxKey === null || !this.sandboxes.has(link.sandboxKey)) return 'missing'
    endpoints.set(link.endpointId, { link, portConfigured: true, inHostNetns: false })
    return 'repaired'
  }

  async configureInSandbox(overlayId: string, link: EndpointLink): Promise<boolean> {
    this.#enter('configureInSandbox')
    const endpoint = this.#existing(overlayId).endpoints.get(link.endpointId)
    if (link.sandboxKey === null || !this.sandboxes.has(link.sandboxKey)) return false
    if (endpoint !== undefined) endpoint.routes = [...(link.routes ?? [])]
    return true
  }

  async removeEndpoint(overlayId: string, endpointId: string): Promise<void> {
    this.#enter('removeEndpoint')
    this.#overlays.get(overlayId)?.endpoints.delete(endpointId)
  }

  async apply(overlayId: string, changes: readonly RowChange[]): Promise<FailedRowChange[]> {
    this.#enter('apply')
    const overlay = this.#existing(overlayId)
    const failed: FailedRowChange[] = []
    for (const change of changes) {
      const error = this.#refuseRow?.(change) ?? familyError(overlay.links.vtep, change)
      if (error === null) applyRow(overlay, change)
      else failed.push({ change, error })
    }
    return failed
  }

  async ensureHost(): Promise<string[]> {
    this.#enter('ensureHost')
    return []
  }

  async setTunnelSources(overlayId: string, vteps: readonly Ip[]): Promise<void> {
    this.#enter('setTunnelSources')
    this.#existing(overlayId).sources = [...vteps]
  }

  async dump(overlayId: string): Promise<ActualOverlay | null> {
    this.#enter('dump')
    const overlay = this.#overlays.get(overlayId)
    if (overlay === undefined) return null
    return {
      overlayId,
      endpoints: Array.from(overlay.endpoints.values(), ({ link, portConfigured, inHostNetns }) => {
        const { endpointId, mac, mtu } = link
        const ips = overlay.links.spoofing === 'allow' ? null : ipsOf(link)
        return { endpointId, mac, mtu, ips, portConfigured, inHostNetns }
      }),
      fdb: [...overlay.fdb].flatMap(([mac, vteps]) => vteps.map((vtep) => ({ mac, vtep }))),
      neighbours: [...overlay.neighbours].map(([ip, mac]) => ({ ip, mac })),
      sources: overlay.sources,
      dropped: {},
      tunnelDrops: 0,
      traffic: null,
      fastPath: { reason: 'a kernel in memory', endpoints: {} },
    }
  }

  async linkStates(overlayId: string): Promise<OverlayLinkStates | null> {
    this.#enter('linkStates')
    const overlay = this.#overlays.get(overlayId)
    return overlay ? linkStatesOf(overlay.links, [...overlay.endpoints.values()]) : null
  }

  async routeTo(vtep: Ip): Promise<UnderlayRoute | null> {
    this.#enter('routeTo')
    return { device: 'eth0', up: true, carrier: true, mtu: await this.underlayMtu(vtep) }
  }

  async features(): Promise<KernelFeatures> {
    this.#enter('features')
    return { filter: 'on', noFastPath: 'a kernel in memory' }
  }

  async overlays(): Promise<string[]> {
    this.#enter('overlays')
    return [...this.#overlays.keys()]
  }

  async underlayMtu(vtep: Ip): Promise<number> {
    this.#enter('underlayMtu')
    const mtu = this.#underlayMtus.get(vtep) ?? this.#defaultMtu
    if (mtu === null) throw refusal('BAD_SETTING', `no interface of this host has address ${vtep}`)
    return mtu
  }

  async close(): Promise<void> {}

  #enter(verb: Verb): void {
    const faults = this.#faults.filter((fault) => fault.verb === verb)
    for (const fault of faults) fault.calls--
    const due = faults.find((fault) => fault.calls === 0)
    if (due === undefined) return
    this.#faults.splice(this.#faults.indexOf(due), 1)
    throw due.error
  }

  #checkVni(links: OverlayLinks, own: MemoryOverlay | undefined): void {
    for (const other of this.#overlays.values())
      if (other !== own && other.links.vni === links.vni)
        throw refusal(
          'VNI_IN_USE',
          `overlay ${links.overlayId}: overlay ${other.links.overlayId} has VNI ${links.vni} on this host`,
        )
    const foreign = this.#foreign.get(links.vni)
    if (foreign !== undefined && own?.links.vni !== links.vni)
      throw refusal('VNI_IN_USE', `device ${foreign} has VNI ${links.vni}; remove it`)
  }

  #existing(overlayId: string): MemoryOverlay {
    const overlay = this.#overlays.get(overlayId)
    if (overlay === undefined)
      throw failure('KERNEL', `overlay ${overlayId} has no namespace on this host`)
    return overlay
  }
}

/** @returns what was changed, in words; null when there is no such endpoint. */
function repaired(endpoints: Map<string, MemoryEndpoint>, link: EndpointLink): string[] | null {
  const present = endpoints.get(link.endpointId)
  if (present === undefined) return null
  const changed = present.portConfigured ? [] : ['port repaired']
  if (present.link.mac !== link.mac) changed.push('MAC address changed')
  if (present.link.mtu !== link.mtu) changed.push('MTU changed')
  if (!isDeepStrictEqual(ipsOf(present.link), ipsOf(link))) changed.push('addresses changed')
  endpoints.set(link.endpointId, { link, portConfigured: true, inHostNetns: present.inHostNetns })
  return changed
}

function applyRow(overlay: MemoryOverlay, change: RowChange): void {
  if (change.kind === 'neighbour') {
    if (change.op === 'set') overlay.neighbours.set(change.ip, change.mac)
    else overlay.neighbours.delete(change.ip)
    return
  }
  const present = overlay.fdb.get(change.mac) ?? []
  const others = present.filter((vtep) => vtep !== change.vtep)
  // A replace overwrites the first VTEP; the default destination may have several.
  const kept = change.mac === noMac ? present : present.slice(1)
  const left =
    change.op === 'remove'
      ? others
      : present.includes(change.vtep)
        ? present
        : [change.vtep, ...kept]
  if (left.length === 0) overlay.fdb.delete(change.mac)
  else overlay.fdb.set(change.mac, left)
}
