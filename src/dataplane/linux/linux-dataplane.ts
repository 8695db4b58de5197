import { promises } from 'node:fs'
import { basename, join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { assert, failure } from '../../base/errors.ts'
import { KeyedQueue } from '../../base/keyed-queue.ts'
import type { Logger } from '../../base/logger.ts'
import type { Ip } from '../../net/ip.ts'
import type {
  ActualOverlay,
  Dataplane,
  EndpointLink,
  EnsuredEndpoint,
  FailedRowChange,
  OverlayLinks,
  RestoreOutcome,
  RowChange,
} from '../dataplane.ts'
import { kernelWork } from './kernel-work.ts'
import type { HostFilter, Tunnel } from './filter/host-filter.ts'
import { openHostFilter } from './filter/open-filter.ts'
import {
  ensureVethPair,
  isComplete,
  recreateVethPair,
  removeVethPair,
  repairVethPair,
} from './links/endpoint-links.ts'
import { ensureLinks } from './links/overlay-links.ts'
import { probeKernel } from './links/probe.ts'
import { underlayMtu } from './links/underlay.ts'
import { retryUnknownOwner } from './links/vni-owner.ts'
import { canonicalAddress } from './netlink/addresses.ts'
import { deleteLinkIfExists, listLinks } from './netlink/link.ts'
import { checkEndpointId, checkOverlayId, isMarked, vxlanName } from './netlink/names.ts'
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
import { isPinned } from './netns/pin.ts'
import { pinnedOverlays, sweepPins } from './netns/sweep.ts'
import { dumpOverlay, writeRows } from './rows/rows.ts'
import { WireGuardNetns } from './wireguard/wireguard-netns.ts'

/**
 * The data plane in a Linux kernel, by rtnetlink. Each overlay's namespace is pinned by a file in
 * `directory` and, if given, by another in `spareDirectory`, so that it outlives this process. The
 * file's name is a hash of the overlay's id, and the id itself is in the alias of its bridge. Work
 * on the kernel is synchronous: two verbs never overlap, and no visit to a namespace spans a turn
 * of the event loop.
 */

interface LinuxDataplaneOptions {
  /**
   * Where namespaces are pinned: a folder whose mounts propagate to the host, so that pins last.
   */
  readonly directory: string
  /** A second such folder, for when the engine unmounts the first. */
  readonly spareDirectory?: string
  readonly logger: Logger
  /**
   * Where the engine has the namespaces of sandboxes; without it, no veth pair can be recreated.
   */
  readonly sandboxDirectory?: string
  /** Whether frames are filtered; they are by default. */
  readonly filter?: boolean
  /** The file of the host's namespace; without it, the namespace that this process is in. */
  readonly hostNetns?: string
}

export class LinuxDataplane implements Dataplane {
  readonly wireGuard: WireGuardNetns
  readonly #directories: readonly string[]
  readonly #logger: Logger
  readonly #hostNetns: string | undefined
  readonly #sandboxDirectory: string | undefined
  readonly #wantsFilter: boolean
  readonly #namespaces: OverlayNamespaces
  readonly #warned = new Set<string>()
  readonly #removals = new KeyedQueue()
  #host: NetnsHandle | null = null
  #filter: HostFilter | null = null

  constructor(options: LinuxDataplaneOptions) {
    const { directory, spareDirectory, logger, hostNetns } = options
    this.#directories = spareDirectory === undefined ? [directory] : [directory, spareDirectory]
    this.#logger = logger
    const warn = (message: string): void => logger.warn(message)
    this.#namespaces = new OverlayNamespaces(this.#directories, warn)
    this.wireGuard = new WireGuardNetns(this.#directories, () => this.#theHost(), warn)
    this.#wantsFilter = options.filter ?? true
    this.#hostNetns = hostNetns
    this.#sandboxDirectory = options.sandboxDirectory
  }

  async start(): Promise<void> {
    // Creates libuv's threads, which must not happen while this thread visits a namespace.
    await promises.stat('/')
    kernelWork('starting the data plane', () => {
      probeKernel()
      this.#host =
        this.#hostNetns === undefined ? netnsHandle(openOwnNetns()) : openNetns(this.#hostNetns)
      sweepPins(this.#directories, this.#logger)
      const open = (): NetlinkSocket => openNetfilterSocket(this.#theHost().fd)
      this.#filter = openHostFilter(open, { wanted: this.#wantsFilter, logger: this.#logger })
    })
  }

  async ensureOverlay(links: OverlayLinks): Promise<string[]> {
    checkOverlayId(links.overlayId)
    const canonical = { ...links, gateways: links.gateways.map(canonicalAddress) }
    return retryUnknownOwner(links, () => this.#ensureOverlay(canonical))
  }

  async removeOverlay(overlayId: string): Promise<void> {
    await this.#removing(`removing overlay ${overlayId}`, () => {
      const netns = this.#namespaces.find(overlayId)
      const tunnel = netns === null ? null : tunnelOf(netns)
      this.#namespaces.destroy(overlayId)
      if (tunnel !== null) this.#theFilter().release(tunnel)
      const { socket } = this.#theHost()
      for (const link of listLinks(socket))
        if (link.alias !== '' && isMarked(link, overlayId)) deleteLinkIfExists(socket, link.index)
    })
  }

  async ensureEndpoint(overlayId: string, link: EndpointLink): Promise<EnsuredEndpoint> {
    checkEndpointId(link.endpointId)
    return kernelWork(`endpoint ${link.endpointId} of overlay ${overlayId}`, () =>
      ensureVethPair(this.#namespaces.existing(overlayId), this.#theHost(), overlayId, link),
    )
  }

  async restoreEndpoint(overlayId: string, link: EndpointLink): Promise<RestoreOutcome> {
    return kernelWork(`endpoint ${link.endpointId} of overlay ${overlayId}`, () => {
      const netns = this.#namespaces.existing(overlayId)
      const changed = isComplete(netns, overlayId, link)
        ? repairVethPair(netns, this.#theHost(), overlayId, link)
        : null
      if (changed !== null) return changed.length > 0 ? 'repaired' : 'unchanged'
      return this.#recreate(netns, overlayId, link) ? 'repaired' : 'missing'
    })
  }

  async removeEndpoint(overlayId: string, endpointId: string): Promise<void> {
    await this.#removing(`removing endpoint ${endpointId} of overlay ${overlayId}`, () =>
      removeVethPair(this.#namespaces.find(overlayId), this.#theHost(), overlayId, endpointId),
    )
  }

  async apply(overlayId: string, changes: readonly RowChange[]): Promise<FailedRowChange[]> {
    const failed: FailedRowChange[] = []
    for (let first = 0; first < changes.length; first += maxBatch) {
      if (first > 0) await nextTurn()
      failed.push(...this.#applyBatch(overlayId, changes.slice(first, first + maxBatch)))
    }
    // A batch takes some ms; many small calls in a row must not block other work either.
    if (changes.length >= maxBatch / 4) await nextTurn()
    return failed
  }

  async setTunnelSources(overlayId: string, vteps: readonly Ip[]): Promise<void> {
    kernelWork(`tunnels of overlay ${overlayId}`, () => {
      const tunnel = tunnelOf(this.#namespaces.existing(overlayId))
      if (tunnel === null) throw failure('KERNEL', `overlay ${overlayId} has no VXLAN device`)
      this.#theFilter().setSources(tunnel.vni, vteps)
    })
  }

  async dump(overlayId: string): Promise<ActualOverlay | null> {
    const what = `reading overlay ${overlayId}`
    const netns = kernelWork(what, () => this.#namespaces.find(overlayId))
    if (netns === null) return null
    const parts = { netns, host: this.#theHost(), filter: this.#theFilter() }
    return dumpOverlay(parts, overlayId).catch((error: unknown) =>
      kernelWork(what, () => {
        throw error
      }),
    )
  }

  async overlays(): Promise<string[]> {
    return kernelWork('looking for overlays', () => pinnedOverlays(this.#directories, this.#logger))
  }

  async underlayMtu(vtep: Ip): Promise<number> {
    return kernelWork(`MTU of ${vtep}`, () =>
      underlayMtu(this.#theHost().socket, vtep, (message) => {
        if (!this.#warned.has(message)) this.#logger.warn(message)
        this.#warned.add(message)
      }),
    )
  }

  async close(): Promise<void> {
    this.#namespaces.close()
    this.wireGuard.close()
    this.#filter?.close()
    this.#filter = null
    if (this.#host !== null) closeNetns(this.#host)
    this.#host = null
  }

  #ensureOverlay(links: OverlayLinks): string[] {
    const { overlayId } = links
    return kernelWork(`overlay ${overlayId}`, () => {
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
        changed.push(...filtered)
        return found === null ? ['namespace created', ...changed] : changed
      } catch (error) {
        if (found === null) this.#namespaces.destroy(overlayId)
        throw error
      }
    })
  }

  /** Creates a veth pair into its sandbox. @returns whether there is one. */
  #recreate(netns: OverlayNetns, overlayId: string, link: EndpointLink): boolean {
    if (this.#sandboxDirectory === undefined || link.sandboxKey === null) return false
    const path = join(this.#sandboxDirectory, basename(link.sandboxKey))
    if (!isPinned(path)) return false
    const sandbox = openNetns(path)
    try {
      const warning = recreateVethPair(netns, sandbox, overlayId, link)
      if (warning !== null) this.#logger.warn(warning)
      return true
    } finally {
      closeNetns(sandbox)
    }
  }

  #ensureFilter(netns: OverlayNetns, links: OverlayLinks): string[] {
    const filter = this.#theFilter()
    const changed = filter.ensure(links)
    if (filter.isActive && links.spoofing !== 'allow') changed.push(...netns.portFilter.ensure())
    else if (filter.isSupported) netns.portFilter.remove()
    return changed
  }

  #applyBatch(overlayId: string, changes: readonly RowChange[]): FailedRowChange[] {
    return kernelWork(`rows of overlay ${overlayId}`, () => {
      const netns = this.#namespaces.existing(overlayId)
      const vxlan = netns.link(vxlanName)
      if (vxlan === null) throw failure('KERNEL', `overlay ${overlayId} has no VXLAN device`)
      return writeRows(netns.socket, vxlan.index, changes)
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

  /**
   * Removes links, for which the kernel blocks this thread for 16 to 50 ms: one after the other,
   * whatever the overlay, and other work runs in between.
   */
  #removing(what: string, work: () => void): Promise<void> {
    return this.#removals.run('all', async () => {
      kernelWork(what, work)
      await nextTurn()
    })
  }
}

/** UDP port and VNI of the VXLAN device that is there; null when there is none. */
function tunnelOf(netns: OverlayNetns): Tunnel | null {
  return netns.link(vxlanName)?.vxlan ?? null
}
