import { promises } from 'node:fs'
import { assert, failure } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Ip } from '../../net/ip.ts'
import type {
  ActualOverlay,
  Dataplane,
  EndpointLink,
  EnsuredEndpoint,
  FailedRowChange,
  KernelFeatures,
  OverlayLinkStates,
  OverlayLinks,
  RestoreOutcome,
  RowChange,
  UnderlayRoute,
} from '../dataplane.ts'
import type { FastPathMode } from './bpf/fast-path.ts'
import { named } from './kernel-work.ts'
import type { HostFilter } from './filter/host-filter.ts'
import { openHostFilter } from './filter/open-filter.ts'
import { KernelTurns } from './kernel-turns.ts'
import {
  ensureVethPair,
  isComplete,
  removeVethPair,
  repairVethPair,
} from './links/endpoint-links.ts'
import { type Sandboxes, configureInSandbox, recreateInSandbox } from './links/sandbox-links.ts'
import { ensureLinks, tunnelOf, vxlanOf } from './links/overlay-links.ts'
import { probeFastPath, probeKernel } from './links/probe.ts'
import { underlayMtu, underlayRoute } from './links/underlay.ts'
import { retryUnknownOwner } from './links/vni-owner.ts'
import { canonicalAddress } from './netlink/addresses.ts'
import { deleteLinkFromThread, listLinks } from './netlink/link.ts'
import { checkEndpointId, checkOverlayId, isMarked } from './netlink/names.ts'
import { type NetlinkSocket, maxBatch } from './netlink/netlink-socket.ts'
import { openOwnNetns } from './netns/netns.ts'
import { assignNetnsId } from './netns/netns-ids.ts'
import {
  type NetnsHandle,
  type OverlayNetns,
  closeNetns,
  netnsHandle,
  openNetfilterSocket,
  openNetns,
} from './netns/overlay-netns.ts'
import { OverlayNamespaces } from './netns/overlay-namespaces.ts'
import { pinnedOverlays, sweepPins } from './netns/sweep.ts'
import { dumpOverlay, readLinkStates, writeRows } from './rows/rows.ts'
import { WireGuardNetns } from './wireguard/wireguard-netns.ts'

/**
 * The data plane in a Linux kernel, by rtnetlink. Each overlay's namespace is pinned by a file in
 * `directory` and, if given, by another in `spareDirectory`, so that it outlives this process. The
 * file's name is a hash of the overlay's id, and the id itself is in the alias of its bridge. Work
 * on the kernel comes in turns (`KernelTurns`), and no visit to a namespace spans a turn of the
 * event loop.
 */

interface LinuxDataplaneOptions {
  /**
   * Where namespaces are pinned: a folder whose mounts propagate to the host, so that pins last.
   */
  readonly directory: string
  /** A second such folder, for when the engine unmounts the first. */
  readonly spareDirectory?: string
  readonly logger: Logger
  /** Where the engine has sandboxes' namespaces; without it, no veth pair can be recreated. */
  readonly sandboxDirectory?: string
  /** Whether frames are filtered; they are by default. */
  readonly filter?: boolean
  /** Whose traffic is limited by source; none without it. */
  readonly gossipPort?: number
  /** Whether frames go past the bridge where their way is known; they do by default. */
  readonly fastPath?: boolean
  /** The file of the host's namespace; without it, the namespace that this process is in. */
  readonly hostNetns?: string
}

export class LinuxDataplane implements Dataplane {
  readonly wireGuard: WireGuardNetns
  readonly #directories: readonly string[]
  readonly #logger: Logger
  readonly #options: LinuxDataplaneOptions
  readonly #sandboxes: Sandboxes
  readonly #fastPath: FastPathMode
  readonly #namespaces: OverlayNamespaces
  readonly #warned = new Set<string>()
  readonly #turns = new KernelTurns()
  #host: NetnsHandle | null = null
  #filter: HostFilter | null = null

  constructor(options: LinuxDataplaneOptions) {
    const { directory, spareDirectory, logger } = options
    this.#directories = spareDirectory === undefined ? [directory] : [directory, spareDirectory]
    this.#logger = logger
    const warn = (message: string): void => logger.warn(message)
    this.#fastPath = { reason: null, warn }
    this.#namespaces = new OverlayNamespaces(this.#directories, this.#fastPath)
    this.wireGuard = new WireGuardNetns(this.#directories, () => this.#theHost(), warn)
    this.#options = options
    this.#sandboxes = { directory: options.sandboxDirectory, logger }
  }

  async start(): Promise<void> {
    // Creates libuv's threads, which must not happen while this thread visits a namespace.
    await promises.stat('/')
    await this.#kernel('starting the data plane', async () => {
      probeKernel()
      const { hostNetns, fastPath = true } = this.#options
      this.#host = hostNetns === undefined ? netnsHandle(openOwnNetns()) : openNetns(hostNetns)
      this.#fastPath.reason = probeFastPath(fastPath)
      await sweepPins(this.#directories, this.#logger)
      const open = (): NetlinkSocket => openNetfilterSocket(this.#theHost().fd)
      this.#filter = openHostFilter(open, this.#options)
    })
  }

  async ensureHost(): Promise<string[]> {
    return this.#kernel('filter of the host', () => this.#theFilter().ensureHost())
  }

  async ensureOverlay(links: OverlayLinks): Promise<string[]> {
    checkOverlayId(links.overlayId)
    const canonical = { ...links, gateways: links.gateways.map(canonicalAddress) }
    return retryUnknownOwner(links, () => this.#ensureOverlay(canonical))
  }

  async removeOverlay(overlayId: string): Promise<void> {
    await this.#removing(`removing overlay ${overlayId}`, async () => {
      const netns = this.#namespaces.find(overlayId)
      const tunnel = netns === null ? null : tunnelOf(netns)
      await this.#namespaces.destroy(overlayId)
      if (tunnel !== null) this.#theFilter().release(tunnel)
      const { socket } = this.#theHost()
      for (const link of listLinks(socket))
        if (link.alias !== '' && isMarked(link, overlayId))
          await deleteLinkFromThread(socket, link.index)
    })
  }

  async ensureEndpoint(overlayId: string, link: EndpointLink): Promise<EnsuredEndpoint> {
    checkEndpointId(link.endpointId)
    return this.#kernel(`endpoint ${link.endpointId} of overlay ${overlayId}`, () =>
      ensureVethPair(this.#namespaces.existing(overlayId), this.#theHost(), overlayId, link),
    )
  }

  async restoreEndpoint(overlayId: string, link: EndpointLink): Promise<RestoreOutcome> {
    return this.#kernel(`endpoint ${link.endpointId} of overlay ${overlayId}`, () => {
      const netns = this.#namespaces.existing(overlayId)
      const changed = isComplete(netns, overlayId, link)
        ? repairVethPair(netns, this.#theHost(), overlayId, link)
        : null
      if (changed !== null) return changed.length > 0 ? 'repaired' : 'unchanged'
      return recreateInSandbox(netns, this.#sandboxes, overlayId, link) ? 'repaired' : 'missing'
    })
  }

  async configureInSandbox(overlayId: string, link: EndpointLink): Promise<boolean> {
    const what = `the link of endpoint ${link.endpointId} of overlay ${overlayId}`
    return this.#kernel(what, () => configureInSandbox(this.#sandboxes, link))
  }

  async removeEndpoint(overlayId: string, endpointId: string): Promise<void> {
    await this.#removing(`removing endpoint ${endpointId} of overlay ${overlayId}`, () =>
      removeVethPair(this.#namespaces.find(overlayId), this.#theHost(), overlayId, endpointId),
    )
  }

  async apply(overlayId: string, changes: readonly RowChange[]): Promise<FailedRowChange[]> {
    const failed: FailedRowChange[] = []
    for (let first = 0; first < changes.length; first += maxBatch)
      failed.push(...(await this.#applyBatch(overlayId, changes.slice(first, first + maxBatch))))
    return failed
  }

  async setTunnelSources(overlayId: string, vteps: readonly Ip[]): Promise<void> {
    await this.#kernel(`tunnels of overlay ${overlayId}`, () => {
      const tunnel = tunnelOf(this.#namespaces.existing(overlayId))
      if (tunnel === null) throw failure('KERNEL', `overlay ${overlayId} has no VXLAN device`)
      this.#theFilter().setSources(tunnel.vni, vteps)
    })
  }

  async dump(overlayId: string): Promise<ActualOverlay | null> {
    return this.#kernel(`reading overlay ${overlayId}`, async () => {
      const netns = this.#namespaces.find(overlayId)
      if (netns === null) return null
      return dumpOverlay({ netns, host: this.#theHost(), filter: this.#theFilter() }, overlayId)
    })
  }

  async linkStates(overlayId: string): Promise<OverlayLinkStates | null> {
    return this.#kernel(`links of overlay ${overlayId}`, () => {
      const netns = this.#namespaces.find(overlayId)
      if (netns === null) return null
      return { ...readLinkStates(netns, overlayId), tunnelDrops: this.#theFilter().dropped() }
    })
  }

  async routeTo(vtep: Ip): Promise<UnderlayRoute | null> {
    return this.#kernel(`route to ${vtep}`, () => underlayRoute(this.#theHost().socket, vtep))
  }

  async features(): Promise<KernelFeatures> {
    const { isActive, isSupported } = this.#theFilter()
    const filter = isActive ? 'on' : isSupported ? 'off' : 'unsupported'
    return { filter, noFastPath: this.#fastPath.reason }
  }

  async overlays(): Promise<string[]> {
    return this.#kernel('looking for overlays', () =>
      pinnedOverlays(this.#directories, this.#logger),
    )
  }

  async underlayMtu(vtep: Ip): Promise<number> {
    return this.#kernel(`MTU of ${vtep}`, () =>
      underlayMtu(this.#theHost().socket, vtep, (message) => {
        if (!this.#warned.has(message)) this.#logger.warn(message)
        this.#warned.add(message)
      }),
    )
  }

  async close(): Promise<void> {
    await this.#turns.alone(async () => {
      this.#namespaces.close()
      this.wireGuard.close()
      this.#filter?.close()
      this.#filter = null
      if (this.#host !== null) closeNetns(this.#host)
      this.#host = null
    })
  }

  #ensureOverlay(links: OverlayLinks): Promise<string[]> {
    const { overlayId } = links
    return this.#kernel(`overlay ${overlayId}`, async () => {
      const found = this.#namespaces.find(overlayId)
      const netns = found ?? this.#namespaces.create(overlayId)
      try {
        const tunnels = links.encrypted === true ? this.wireGuard.existing() : this.#theHost()
        if (found === null || links.encrypted === true) assignNetnsId(tunnels.socket, netns.fd)
        const before = tunnelOf(netns)
        // First, so that no frame arrives unfiltered.
        const filtered = this.#ensureFilter(netns, links)
        const changed = ensureLinks(netns, tunnels, links, this.#namespaces.withNetns)
        if (before !== null && (before.vni !== links.vni || before.port !== links.port))
          this.#theFilter().release(before)
        const vxlan = vxlanOf(netns, overlayId).index
        const checksSource = this.#theFilter().isActive && links.spoofing !== 'allow'
        changed.push(...filtered, ...netns.fastPath.ensure({ vxlan, mtu: links.mtu, checksSource }))
        return found === null ? ['namespace created', ...changed] : changed
      } catch (error) {
        if (found === null) await this.#namespaces.destroy(overlayId)
        throw error
      }
    })
  }

  #ensureFilter(netns: OverlayNetns, links: OverlayLinks): string[] {
    const filter = this.#theFilter()
    const changed = filter.ensure(links)
    if (filter.isSupported) changed.push(...netns.ensureFilters(links, filter.isActive))
    return changed
  }

  #applyBatch(overlayId: string, changes: readonly RowChange[]): Promise<FailedRowChange[]> {
    return this.#kernel(`rows of overlay ${overlayId}`, () => {
      const netns = this.#namespaces.existing(overlayId)
      netns.noteFdb(changes)
      return writeRows(netns.socket, vxlanOf(netns, overlayId).index, changes)
    })
  }

  #theHost(): NetnsHandle {
    assert(this.#host !== null, 'the data plane was not started')
    return this.#host
  }

  #theFilter(): HostFilter {
    assert(this.#filter !== null, 'the data plane was not started')
    return this.#filter
  }

  /** Work on the kernel, in its turn. */
  #kernel<T>(what: string, work: () => T | Promise<T>): Promise<Awaited<T>> {
    return this.#turns.run(() => named(what, work))
  }

  /** Work that removes links, for which the kernel blocks everything that changes others. */
  #removing(what: string, work: () => Promise<void>): Promise<void> {
    return this.#turns.alone(() => named(what, work))
  }
}
