import { promises } from 'node:fs'
import { basename, join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { assert, failure, isSystemError, messageOf } from '../../base/errors.ts'
import { KeyedQueue } from '../../base/keyed-queue.ts'
import type { Logger } from '../../base/logger.ts'
import type { Ip } from '../../net/ip.ts'
import type {
  ActualOverlay,
  RowChange,
  Dataplane,
  EndpointLink,
  EnsuredEndpoint,
  FailedRowChange,
  Inside,
  OverlayLinks,
} from '../dataplane.ts'
import { canonicalAddress } from './netlink/addresses.ts'
import { dumpOverlay } from './rows/dump.ts'
import {
  deleteLinkIfExists,
  ensureVethPair,
  recreateVethPair,
  removeVethPair,
  repairVethPair,
} from './links/endpoint-links.ts'
import { checkEndpointId, checkOverlayId, isMarked, pinName, vxlanName } from './netlink/names.ts'
import { isPinned, openOwnNetns } from './netns/netns.ts'
import { assignNetnsId } from './netns/netns-ids.ts'
import { maxBatch } from './netlink/netlink-socket.ts'
import { ensureLinks } from './links/overlay-links.ts'
import {
  type NetnsHandle,
  OverlayNetns,
  closeNetns,
  listLinks,
  netnsHandle,
  openNetns,
} from './netns/overlay-netns.ts'
import { probeKernel } from './links/probe.ts'
import { Pin } from './netns/pin.ts'
import { writeRows } from './netlink/neighbours.ts'
import { pinnedOverlays, sweepPins } from './netns/sweep.ts'
import { underlayMtu } from './links/underlay.ts'
import { type FindNetns, retryUnknownOwner } from './links/vni-owner.ts'

/**
 * The data plane in a Linux kernel, by rtnetlink. Each overlay's namespace is pinned by a file in
 * `directory` and, where there is one, by another in `spareDirectory`, so that it outlives this process.
 * The file's name is a hash of the overlay's id, and the id itself is the alias of the bridge within. Work
 * on the kernel is synchronous: two verbs never overlap, and a namespace is never visited across a turn of
 * the event loop.
 */

interface LinuxDataplaneOptions {
  /** Where namespaces are pinned: a place whose mounts this process shares with the host, so that pins last. */
  readonly directory: string
  /** A second such place, for when the first is cleared away. */
  readonly spareDirectory?: string
  readonly logger: Logger
  /** Where the engine's namespaces of containers are found; without, no veth pair can be made anew. */
  readonly sandboxDirectory?: string
  /** The namespace to take for the host's, by its file; without, the one that this process is in. */
  readonly hostNetns?: string
}

export class LinuxDataplane implements Dataplane {
  readonly #directories: readonly string[]
  readonly #logger: Logger
  readonly #hostNetns: string | undefined
  readonly #sandboxDirectory: string | undefined
  readonly #open = new Map<string, OverlayNetns>()
  readonly #said = new Set<string>()
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
    // Makes libuv's threads, which must not be born while this thread visits a namespace.
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
    const wanted = { ...links, gateways: links.gateways.map(canonicalAddress) }
    return retryUnknownOwner(links, () => this.#ensureOverlay(wanted))
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

  async repairEndpoint(overlayId: string, link: EndpointLink): Promise<string[] | null> {
    return this.#kernel(`endpoint ${link.endpointId} of overlay ${overlayId}`, () =>
      repairVethPair(this.#existing(overlayId), this.#theHost(), overlayId, link),
    )
  }

  async recreateEndpoint(overlayId: string, link: EndpointLink, inside: Inside): Promise<boolean> {
    return this.#kernel(`endpoint ${link.endpointId} of overlay ${overlayId}`, () => {
      if (this.#sandboxDirectory === undefined) return false
      const path = join(this.#sandboxDirectory, basename(inside.sandboxKey))
      if (!isPinned(path)) return false
      const container = openNetns(path)
      try {
        const netns = this.#existing(overlayId)
        const lack = recreateVethPair(netns, container, overlayId, link, inside.addresses)
        if (lack !== null) this.#logger.warn(lack)
        return true
      } finally {
        closeNetns(container)
      }
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
    // A batch takes some ms; many small calls that follow each other must not hold up the rest either.
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
        const changed = ensureLinks(netns, this.#theHost(), links, this.#findNetns)
        return found === null ? ['namespace made', ...changed] : changed
      } catch (error) {
        if (found === null) this.#destroy(overlayId, netns)
        throw error
      }
    })
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

  /** What is looked at often. */
  #warnOnce(message: string): void {
    if (!this.#said.has(message)) this.#logger.warn(message)
    this.#said.add(message)
  }

  #theHost(): NetnsHandle {
    assert(this.#host !== null, 'the data plane was not started')
    return this.#host
  }

  /** The overlay's namespace, if it has one. A pin that somebody changed under us is believed. */
  #find(overlayId: string): OverlayNetns | null {
    const held = this.#open.get(overlayId)
    if (held?.isPinned === true) return held
    if (held !== undefined && !held.isReplaced) {
      held.ensurePinned()
      if (held.isPinned)
        this.#logger.warn(`overlay ${overlayId}: a pin ${held.path} was gone and was put back`)
      return held
    }
    const pinned = OverlayNetns.open(this.#pinOf(overlayId))
    held?.close()
    if (pinned === null) this.#open.delete(overlayId)
    else this.#open.set(overlayId, pinned)
    return pinned
  }

  /** Of any overlay on this host, without holding it from then on. */
  readonly #findNetns: FindNetns = (overlayId, look) => {
    const held = this.#open.get(overlayId)
    const netns = held ?? OverlayNetns.open(this.#pinOf(overlayId))
    try {
      return look(netns?.fd ?? null)
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
   * Removes links, for which the kernel makes this thread wait, 16 to 50 ms: one after the other, whatever the
   * overlay, and in between all other work has its turn.
   */
  #removing(what: string, work: () => void): Promise<void> {
    return this.#removals.run('all', async () => {
      this.#kernel(what, work)
      await nextTurn()
    })
  }

  /** Runs work on the kernel, whose errors become failures that say on what. Any other error stays what it is. */
  #kernel<T>(what: string, work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (!isSystemError(error)) throw error
      throw failure('KERNEL', `${what}: ${messageOf(error)}`, error)
    }
  }
}
