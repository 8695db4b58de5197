import { closeSync, openSync } from 'node:fs'
import { errnoOf, failure } from '../../../base/errors.ts'
import { FastPath, type FastPathMode } from '../bpf/fast-path.ts'
import type { FdbEntry, OverlayLinks, RowChange } from '../../dataplane.ts'
import { GroupFilter } from '../filter/group-filter.ts'
import { PortFilter } from '../filter/port-filter.ts'
import { type Link, deleteAllFromThread, findLink, listLinks } from '../netlink/link.ts'
import { NetlinkSocket } from '../netlink/netlink-socket.ts'
import { inNetns, inNewNetns, openOwnNetns } from './netns.ts'
import type { Pin } from './pin.ts'

/** An open network namespace, the host's or a container's: a socket in it, and its descriptor. */
export interface NetnsHandle {
  readonly socket: NetlinkSocket
  readonly fd: number
}

/** Opens the namespace with that file. The caller closes it. */
export function openNetns(path: string): NetnsHandle {
  try {
    return netnsHandle(openSync(path, 'r'))
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL') throw error
    // A namespace of another type.
    throw failure('KERNEL', `${path} is no network namespace; unmount it: umount ${path}`, error)
  }
}

/** Opens the namespace of `fd`, and takes over the descriptor. */
export function netnsHandle(fd: number): NetnsHandle {
  try {
    return { fd, socket: inNetns(fd, () => new NetlinkSocket()) }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** A socket for nf_tables in the namespace of `fd`; the caller closes it. */
export function openNetfilterSocket(fd: number): NetlinkSocket {
  return inNetns(fd, () => new NetlinkSocket(undefined, 'netfilter'))
}

/** Closes both. */
export function closeNetns({ socket, fd }: NetnsHandle): void {
  socket.close()
  closeSync(fd)
}

/** For those who only look at a namespace. */
const noFastPath: FastPathMode = { reason: 'not asked for', warn: () => {} }

/** An overlay's network namespace: pinned by files, reached by a netlink socket in it. */
export class OverlayNetns {
  readonly #pin: Pin
  /** Identifies the namespace in requests to other namespaces. */
  readonly fd: number
  readonly socket: NetlinkSocket
  /** The way past the bridge of the overlay. */
  readonly fastPath: FastPath
  #filterSocket: NetlinkSocket | null = null
  #filter: PortFilter | null = null
  #groups: GroupFilter | null = null
  #multicast = false

  private constructor(pin: Pin, { fd, socket }: NetnsHandle, mode: FastPathMode) {
    this.#pin = pin
    this.fd = fd
    this.socket = socket
    this.fastPath = new FastPath(socket, mode)
  }

  /** Creates a namespace and pins it; when a step fails, nothing remains of it. */
  static create(pin: Pin, mode = noFastPath): OverlayNetns {
    const handle = inNewNetns(() => netnsHandle(openOwnNetns()))
    const netns = new OverlayNetns(pin, handle, mode)
    try {
      netns.ensurePinned()
      return netns
    } catch (error) {
      netns.close()
      pin.remove()
      throw error
    }
  }

  /**
   * Opens the namespace that is pinned; null when there is none. A pin that is missing is restored.
   */
  static open(pin: Pin, mode = noFastPath): OverlayNetns | null {
    const path = pin.find()
    if (path === null) return null
    const netns = new OverlayNetns(pin, openNetns(path), mode)
    try {
      netns.ensurePinned()
    } catch (error) {
      netns.close()
      throw error
    }
    return netns
  }

  /** The file that it is pinned at, for messages to people. */
  get path(): string {
    return this.#pin.path
  }

  /** Whether every place pins this namespace. */
  get isPinned(): boolean {
    return this.#pin.pins(this.fd)
  }

  /** Whether another namespace is pinned in its place. */
  get isReplaced(): boolean {
    return this.#pin.pinsOther(this.fd)
  }

  /** Pins the namespace where it is not, as when a pin was removed while we held it open. */
  ensurePinned(): void {
    this.#pin.pin(this.fd)
  }

  /** The link with that index or name; null when there is none. */
  link(key: number | string): Link | null {
    return findLink(this.socket, key)
  }

  /** All links of the namespace. */
  links(): Link[] {
    return listLinks(this.socket)
  }

  /** The filter on the ports of the overlay's bridge. */
  get portFilter(): PortFilter {
    this.#filter ??= new PortFilter(this.#netfilter, this.#multicast)
    return this.#filter
  }

  get #netfilter(): NetlinkSocket {
    this.#filterSocket ??= openNetfilterSocket(this.fd)
    return this.#filterSocket
  }

  /**
   * Makes or repairs the filters that the overlay is to have, and removes the others.
   * @returns what was changed, in words; empty when all was right.
   */
  ensureFilters({ spoofing, multicast = false }: OverlayLinks, isActive: boolean): string[] {
    if (multicast !== this.#multicast) this.#filter = null
    this.#multicast = multicast
    this.#groups ??= new GroupFilter(this.#netfilter)
    const changed = this.#groups.ensure(isActive && multicast)
    if (isActive && spoofing !== 'allow') changed.push(...this.portFilter.ensure())
    else this.portFilter.remove()
    return changed
  }

  /** The FDB of the VXLAN device is about to be changed so. */
  noteFdb(changes: readonly RowChange[]): void {
    this.#groups?.noteFdb(changes)
    this.fastPath.noteFdb(changes)
  }

  /** The FDB of the VXLAN device is this. */
  syncFdb(fdb: readonly FdbEntry[]): void {
    this.#groups?.syncFdb(fdb)
    this.fastPath.syncFdb(fdb)
  }

  /** Frames of containers that the filters dropped since they were made, by reason. */
  dropped(): Readonly<Record<string, number>> {
    const ports = this.filtersPorts ? this.portFilter.dropped() : []
    return Object.fromEntries([...ports, ...(this.#groups?.dropped() ?? [])])
  }

  /** Whether ports are filtered. */
  get filtersPorts(): boolean {
    return this.portFilter.exists()
  }

  /** One more socket in the namespace; the caller closes it. */
  openSocket(): NetlinkSocket {
    return inNetns(this.fd, () => new NetlinkSocket())
  }

  /** Closes the descriptors. The pin keeps the namespace. */
  close(): void {
    this.fastPath.close()
    this.#filterSocket?.close()
    closeNetns(this)
  }

  /**
   * Removes all our links, then the pins; `close` is left to do. The kernel removes an unpinned
   * namespace asynchronously, and only when nobody holds it open; the VNI must be free before that.
   * Can be repeated after a failure.
   */
  async clear(): Promise<void> {
    await deleteAllFromThread(this.socket)
    this.#pin.remove()
  }
}
