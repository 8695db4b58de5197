import { promises } from 'node:fs'
import { basename, join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { assert, failure, isSystemError, messageOf } from '../../base/errors.ts'
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
import { type WithNetns, retryUnknownOwner } from './links/vni-owner.ts'
import { canonicalAddress } from './netlink/addresses.ts'
import { deleteLinkIfExists, listLinks } from './netlink/link.ts'
import { checkEndpointId, checkOverlayId, isMarked, pinName, vxlanName } from './netlink/names.ts'
import { maxBatch } from './netlink/netlink-socket.ts'
import { openOwnNetns } from './netns/netns.ts'
import { assignNetnsId } from './netns/netns-ids.ts'
import {
  type NetnsHandle,
  OverlayNetns,
  closeNetns,
  netnsHandle,
  openNetns,
} from './netns/overlay-netns.ts'
import { Pin, isPinned } from './netns/pin.ts'
import { pinnedOverlays, sweepPins } from './netns/sweep.ts'
import { dumpOverlay, writeRows } from './rows/rows.ts'

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
  /** The file of the host's namespace; without it, the namespace that this process is in. */
  readonly hostNetns?: string
}

export class LinuxDataplane implements Dataplane {
  readonly #directories: readonly string[]
  readonly #logger: Logger
  readonly #hostNetns: string | undefined
  readonly #sandboxDirectory: string | undefined
  readonly #open = new Map<string, OverlayNetns>()
  readonly #warned = new Set<string>()
  readonly #removals = new KeyedQueue()
  #host: NetnsHandle | null = null

  constructor(options: LinuxDataplaneOptions) {
    const { directory, spareDirectory, logger, hostNetns } = options
    this.#directories = spareDirectory === undefined ? [directory] : [directory, spareDirectory]
    this.#logger = logger
    this.#hostNetns = hostNetns
    this.#sandboxDirectory = options.sandboxDirectory
  }

  async start(): Promise<void> {
    // Creates libuv's threads, which must not happen while this thread visits a namespace.
    await promises.stat('/')
    this.#kernel('starting the data plane', () => {
      probeKernel()
      this.#host =
        this.#hostNetns === undefined ? netnsHandle(openOwnNetns()) : openNetns(this.#hostNetns)
      sweepPins(this.#directories, this.#logger)
    })
  }

  async ensureOverlay(links: OverlayLinks): Promise<string[]> {
    checkOverlayId(links.overlayId)
    const canonical = { ...links, gateways: links.gateways.map(canonicalAddress) }
    return retryUnknownOwner(links, () => this.#ensureOverlay(canonical))
  }

  async removeOverlay(overlayId: string): Promise<void> {
    await this.#removing(`removing overlay ${overlayId}`, () => {
      const netns = this.#find(overlayId)
      if (netns === null) this.#pinOf(overlayId).remove()
      else this.#destroy(overlayId, netns)
      const { socket } = this.#theHost()
      for (const link of listLinks(socket))
        if (link.alias !== '' && isMarked(link, overlayId)) deleteLinkIfExists(socket, link.index)
    })
  }

  async ensureEndpoint(overlayId: string, link: EndpointLink): Promise<EnsuredEndpoint> {
    checkEndpointId(link.endpointId)
    return this.#kernel(`endpoint ${link.endpointId} of overlay ${overlayId}`, () =>
      ensureVethPair(this.#existing(overlayId), this.#theHost(), overlayId, link),
    )
  }

  async restoreEndpoint(overlayId: string, link: EndpointLink): Promise<RestoreOutcome> {
    return this.#kernel(`endpoint ${link.endpointId} of overlay ${overlayId}`, () => {
      const netns = this.#existing(overlayId)
      const changed = isComplete(netns, overlayId, link)
        ? repairVethPair(netns, this.#theHost(), overlayId, link)
        : null
      if (changed !== null) return changed.length > 0 ? 'repaired' : 'unchanged'
      return this.#recreate(netns, overlayId, link) ? 'repaired' : 'missing'
    })
  }

  async removeEndpoint(overlayId: string, endpointId: string): Promise<void> {
    await this.#removing(`removing endpoint ${endpointId} of overlay ${overlayId}`, () =>
      removeVethPair(this.#find(overlayId), this.#theHost(), overlayId, endpointId),
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

  async dump(overlayId: string): Promise<ActualOverlay | null> {
    const what = `reading overlay ${overlayId}`
    const netns = this.#kernel(what, () => this.#find(overlayId))
    if (netns === null) return null
    return dumpOverlay(netns, this.#theHost(), overlayId).catch((error: unknown) =>
      this.#kernel(what, () => {
        throw error
      }),
    )
  }

  async overlays(): Promise<string[]> {
    return this.#kernel('looking for overlays', () =>
      pinnedOverlays(this.#directories, this.#logger),
    )
  }

  async underlayMtu(vtep: Ip): Promise<number> {
    return this.#kernel(`MTU of ${vtep}`, () =>
      underlayMtu(this.#theHost().socket, vtep, (message) => this.#warnOnce(message)),
    )
  }

  async close(): Promise<void> {
    for (const netns of this.#open.values()) netns.close()
    this.#open.clear()
    if (this.#host !== null) closeNetns(this.#host)
    this.#host = null
  }

  #ensureOverlay(links: OverlayLinks): string[] {
    const { overlayId } = links
    return this.#kernel(`overlay ${overlayId}`, () => {
      const found = this.#find(overlayId)
      const netns = found ?? OverlayNetns.create(this.#pinOf(overlayId))
      this.#open.set(overlayId, netns)
      try {
        if (found === null) assignNetnsId(this.#theHost().socket, netns.fd)
        const changed = ensureLinks(netns, this.#theHost(), links, this.#withNetns)
        return found === null ? ['namespace created', ...changed] : changed
      } catch (error) {
        if (found === null) this.#destroy(overlayId, netns)
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

  #applyBatch(overlayId: string, changes: readonly RowChange[]): FailedRowChange[] {
    return this.#kernel(`rows of overlay ${overlayId}`, () => {
      const netns = this.#existing(overlayId)
      const vxlan = netns.link(vxlanName)
      if (vxlan === null) throw failure('KERNEL', `overlay ${overlayId} has no VXLAN device`)
      return writeRows(netns.socket, vxlan.index, changes)
    })
  }

  #pinOf(overlayId: string): Pin {
    return new Pin(this.#directories, pinName(overlayId), (message) => this.#warnOnce(message))
  }

  #warnOnce(message: string): void {
    if (!this.#warned.has(message)) this.#logger.warn(message)
    this.#warned.add(message)
  }

  #theHost(): NetnsHandle {
    assert(this.#host !== null, 'the data plane was not started')
    return this.#host
  }

  /** The overlay's namespace, if it has one: the pinned one, should it have been replaced. */
  #find(overlayId: string): OverlayNetns | null {
    const held = this.#open.get(overlayId)
    if (held?.isPinned === true) return held
    if (held !== undefined && !held.isReplaced) {
      held.ensurePinned()
      if (held.isPinned)
        this.#logger.warn(`overlay ${overlayId}: a pin ${held.path} was gone and was restored`)
      return held
    }
    const pinned = OverlayNetns.open(this.#pinOf(overlayId))
    held?.close()
    if (pinned === null) this.#open.delete(overlayId)
    else this.#open.set(overlayId, pinned)
    return pinned
  }

  /** Of any overlay on this host, without keeping it open. */
  readonly #withNetns: WithNetns = (overlayId, visit) => {
    const held = this.#open.get(overlayId)
    const netns = held ?? OverlayNetns.open(this.#pinOf(overlayId))
    try {
      return visit(netns?.fd ?? null)
    } finally {
      if (held === undefined) netns?.close()
    }
  }

  #existing(overlayId: string): OverlayNetns {
    const netns = this.#find(overlayId)
    if (netns !== null) return netns
    throw failure('KERNEL', `overlay ${overlayId} has no namespace on this host; ensure it first`)
  }

  #destroy(overlayId: string, netns: OverlayNetns): void {
    netns.clear()
    netns.close()
    this.#open.delete(overlayId)
  }

  /**
   * Removes links, for which the kernel blocks this thread for 16 to 50 ms: one after the other,
   * whatever the overlay, and other work runs in between.
   */
  #removing(what: string, work: () => void): Promise<void> {
    return this.#removals.run('all', async () => {
      this.#kernel(what, work)
      await nextTurn()
    })
  }

  /**
   * Runs work whose system errors become KERNEL failures that name its subject. Others are thrown
   * on.
   */
  #kernel<T>(what: string, work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (!isSystemError(error)) throw error
      throw failure('KERNEL', `${what}: ${messageOf(error)}`, error)
    }
  }
}
