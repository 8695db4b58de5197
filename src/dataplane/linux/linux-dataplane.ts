import { closeSync, mkdirSync, openSync, promises, readdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  AssertionError,
  OverlayError,
  assert,
  failure,
  messageOf,
  refusal,
} from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { parseIpInCidr } from '../../net/cidr.ts'
import type { Ip } from '../../net/ip.ts'
import type {
  ActualOverlay,
  Change,
  Dataplane,
  EndpointLink,
  EnsuredEndpoint,
  FailedChange,
  OverlayLinks,
} from '../dataplane.ts'
import { getAddresses, readAddress } from './addresses.ts'
import { dumpOverlay } from './dump.ts'
import { deleteIfThere, ensureVethPair, removeVethPair } from './endpoint-links.ts'
import {
  checkEndpointId,
  checkOverlayId,
  isMarked,
  linkGroup,
  overlayOfAlias,
  pinName,
  vxlanName,
} from './names.ts'
import { inNetns, isPinned, openOwnNetns, unpin } from './netns.ts'
import { assignNetnsId } from './netns-ids.ts'
import { NetlinkSocket } from './netlink-socket.ts'
import { ensureLinks } from './overlay-links.ts'
import { type HostNetns, OverlayNetns, linkOf, linksOf } from './overlay-netns.ts'
import { probeKernel } from './probe.ts'
import { rowRequest } from './rows.ts'

/**
 * The data plane in a Linux kernel, by rtnetlink. Each overlay's namespace is pinned by a file in
 * `directory`, so that it outlives this process; the file's name is a hash of the overlay's id, and the
 * id itself is the alias of the bridge within. Work on the kernel is synchronous: two verbs never
 * overlap, and a namespace is never visited across a turn of the event loop.
 */

export interface LinuxDataplaneOptions {
  /** Where namespaces are pinned. In a managed plugin under `propagatedMount`, so that pins last. */
  readonly directory: string
  readonly logger: Logger
  /** The namespace to take for the host's, by its file; without, the one that this process is in. */
  readonly hostNetns?: string
}

export class LinuxDataplane implements Dataplane {
  readonly #options: LinuxDataplaneOptions
  readonly #open = new Map<string, OverlayNetns>()
  #host: HostNetns | null = null

  constructor(options: LinuxDataplaneOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    // Makes libuv's threads, which must not be born while this thread visits a namespace.
    await promises.stat('/')
    this.#kernel('starting the data plane', () => {
      mkdirSync(this.#options.directory, { recursive: true, mode: 0o700 })
      probeKernel()
      const { hostNetns } = this.#options
      const fd = hostNetns === undefined ? openOwnNetns() : openSync(hostNetns, 'r')
      this.#host = { fd, socket: inNetns(fd, () => new NetlinkSocket()) }
      for (const file of readdirSync(this.#options.directory)) this.#sweep(file)
    })
  }

  async ensureOverlay(links: OverlayLinks): Promise<string[]> {
    const { overlayId } = links
    checkOverlayId(overlayId)
    const wanted = { ...links, gateways: links.gateways.map(canonicalGateway) }
    return this.#kernel(`overlay ${overlayId}`, () => {
      const found = this.#find(overlayId)
      const netns = found ?? OverlayNetns.create(this.#pathOf(overlayId))
      this.#open.set(overlayId, netns)
      try {
        if (found === null) assignNetnsId(this.#theHost().socket, netns.fd)
        const changed = ensureLinks(netns, this.#theHost(), wanted)
        return found === null ? ['namespace made', ...changed] : changed
      } catch (error) {
        if (found === null) this.#destroy(overlayId, netns)
        throw error
      }
    })
  }

  async removeOverlay(overlayId: string): Promise<void> {
    this.#kernel(`removing overlay ${overlayId}`, () => {
      const netns = this.#find(overlayId)
      if (netns === null) unpin(this.#pathOf(overlayId))
      else this.#destroy(overlayId, netns)
      const { socket } = this.#theHost()
      for (const link of linksOf(socket))
        if (link.alias !== '' && isMarked(link, overlayId)) deleteIfThere(socket, link.index)
    })
  }

  async ensureEndpoint(overlayId: string, link: EndpointLink): Promise<EnsuredEndpoint> {
    checkEndpointId(link.endpointId)
    return this.#kernel(`endpoint ${link.endpointId} of overlay ${overlayId}`, () =>
      ensureVethPair(this.#existing(overlayId), this.#theHost(), overlayId, link),
    )
  }

  async removeEndpoint(overlayId: string, endpointId: string): Promise<void> {
    this.#kernel(`removing endpoint ${endpointId} of overlay ${overlayId}`, () =>
      removeVethPair(this.#find(overlayId), this.#theHost(), overlayId, endpointId),
    )
  }

  async apply(overlayId: string, changes: readonly Change[]): Promise<FailedChange[]> {
    return this.#kernel(`rows of overlay ${overlayId}`, () => {
      const netns = this.#existing(overlayId)
      const vxlan = netns.link(vxlanName)
      if (vxlan === null) throw failure('KERNEL', `overlay ${overlayId} has no VXLAN device`)
      const errors = netns.socket.send(changes.map((change) => rowRequest(vxlan.index, change)))
      return [...errors].flatMap(([position, error]) => {
        const change = changes[position]!
        const isGone = change.op === 'remove' && error.code === 'ENOENT'
        return isGone ? [] : [{ change, error: error.message }]
      })
    })
  }

  async dump(overlayId: string): Promise<ActualOverlay | null> {
    return this.#kernel(`reading overlay ${overlayId}`, () => {
      const netns = this.#find(overlayId)
      return netns === null ? null : dumpOverlay(netns, this.#theHost(), overlayId)
    })
  }

  async overlays(): Promise<string[]> {
    return this.#kernel('looking for overlays', () =>
      readdirSync(this.#options.directory).flatMap((file) => {
        const netns = OverlayNetns.open(join(this.#options.directory, file))
        try {
          const overlayId = netns === null ? null : overlayIn(netns)
          return overlayId === null || pinName(overlayId) !== file ? [] : [overlayId]
        } finally {
          netns?.close()
        }
      }),
    )
  }

  async underlayMtu(vtep: Ip): Promise<number> {
    return this.#kernel(`MTU of ${vtep}`, () => {
      const { socket } = this.#theHost()
      const addresses = socket.dump(getAddresses(0)).map(readAddress)
      const index = addresses.find((address) => address?.ip === vtep)?.index
      const link = index === undefined ? null : linkOf(socket, index)
      if (link !== null) return link.mtu
      throw refusal(
        'BAD_SETTING',
        `no interface of this host has the address ${vtep}; set ADVERTISE_ADDR to one that has`,
      )
    })
  }

  async close(): Promise<void> {
    for (const netns of this.#open.values()) netns.close()
    this.#open.clear()
    this.#host?.socket.close()
    if (this.#host !== null) closeSync(this.#host.fd)
    this.#host = null
  }

  #pathOf(overlayId: string): string {
    return join(this.#options.directory, pinName(overlayId))
  }

  #theHost(): HostNetns {
    assert(this.#host !== null, 'the data plane was not started')
    return this.#host
  }

  /** The overlay's namespace, if it has one. A pin that somebody changed under us is believed. */
  #find(overlayId: string): OverlayNetns | null {
    const held = this.#open.get(overlayId)
    if (held?.isPinned === true) return held
    const path = this.#pathOf(overlayId)
    const pinned = OverlayNetns.open(path)
    if (pinned === null && held !== undefined) {
      held.pinAgain()
      this.#options.logger.warn(`overlay ${overlayId}: the pin ${path} was gone and was put back`)
      return held
    }
    held?.close()
    if (pinned === null) this.#open.delete(overlayId)
    else this.#open.set(overlayId, pinned)
    return pinned
  }

  #existing(overlayId: string): OverlayNetns {
    const netns = this.#find(overlayId)
    if (netns !== null) return netns
    throw failure('KERNEL', `overlay ${overlayId} has no namespace on this host; ensure it first`)
  }

  #destroy(overlayId: string, netns: OverlayNetns): void {
    this.#open.delete(overlayId)
    netns.destroy()
  }

  /** Removes what a crash or a reboot left half made: empty files, empty namespaces, unmarked veths. */
  #sweep(file: string): void {
    const path = join(this.#options.directory, file)
    const netns = isPinned(path) ? OverlayNetns.open(path) : null
    if (netns === null) {
      unpin(path)
      return
    }
    if (overlayIn(netns) === null) {
      this.#options.logger.info(`namespace ${path} has no overlay in it and is removed`)
      netns.destroy()
      return
    }
    for (const link of netns.links())
      if (link.kind === 'veth' && link.alias === '' && link.group === linkGroup)
        deleteIfThere(netns.socket, link.index)
    netns.close()
  }

  /** Runs work on the kernel; its errors become failures that say on what. */
  #kernel<T>(what: string, work: () => T): T {
    try {
      return work()
    } catch (error) {
      if (error instanceof OverlayError || error instanceof AssertionError) throw error
      throw failure('KERNEL', `${what}: ${messageOf(error)}`, error)
    }
  }
}

/** The overlay that a namespace is for, by the alias of any link in it. */
function overlayIn(netns: OverlayNetns): string | null {
  const aliases = netns.links().map((link) => overlayOfAlias(link.alias))
  return aliases.find((overlayId) => overlayId !== null) ?? null
}

function canonicalGateway(text: string): string {
  const parsed = parseIpInCidr(text)
  if (parsed === null)
    throw refusal('BAD_REQUEST', `gateway "${text}": give an address with its prefix length`)
  return `${parsed.ip}${text.slice(text.indexOf('/'))}`
}
