import { closeSync, openSync } from 'node:fs'
import { errnoOf, failure } from '../../../base/errors.ts'
import { type Link, readLink } from '../netlink/link.ts'
import { deleteAllOurs, getLinks } from '../netlink/link-requests.ts'
import { inNetns, inNewNetns, openOwnNetns } from './netns.ts'
import { NetlinkError, NetlinkSocket } from '../netlink/netlink-socket.ts'
import type { Pin } from './pin.ts'

/** The host's network namespace, or a container's: a socket in it, and a descriptor that stands for it. */
export interface NetnsHandle {
  readonly socket: NetlinkSocket
  readonly fd: number
}

/** The namespace with that file. Whoever asks closes it. */
export function openNetns(path: string): NetnsHandle {
  try {
    return netnsHandle(openSync(path, 'r'))
  } catch (error) {
    if (errnoOf(error) !== 'EINVAL') throw error
    // A namespace of another kind.
    throw failure('KERNEL', `${path} is no network namespace; unmount it: umount ${path}`, error)
  }
}

/** The namespace that `fd` stands for, which is given away to it. */
export function netnsHandle(fd: number): NetnsHandle {
  try {
    return { fd, socket: inNetns(fd, () => new NetlinkSocket()) }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Lets go of it. */
export function closeNetns({ socket, fd }: NetnsHandle): void {
  socket.close()
  closeSync(fd)
}

/** An overlay's network namespace: pinned by files, reached by a netlink socket that lives in it. */
export class OverlayNetns {
  readonly #pin: Pin
  /** Stands for the namespace in requests to other namespaces. */
  readonly fd: number
  readonly socket: NetlinkSocket

  private constructor(pin: Pin, fd: number, socket: NetlinkSocket) {
    this.#pin = pin
    this.fd = fd
    this.socket = socket
  }

  /** Makes a namespace and pins it; when something fails on the way, nothing is left of it. */
  static create(pin: Pin): OverlayNetns {
    const { fd, socket } = inNewNetns(() => netnsHandle(openOwnNetns()))
    const netns = new OverlayNetns(pin, fd, socket)
    try {
      netns.ensurePinned()
      return netns
    } catch (error) {
      netns.close()
      pin.remove()
      throw error
    }
  }

  /** Opens the namespace that is pinned; null when there is none. A pin that is missing is put back. */
  static open(pin: Pin): OverlayNetns | null {
    const path = pin.find()
    if (path === null) return null
    const { fd, socket } = openNetns(path)
    const netns = new OverlayNetns(pin, fd, socket)
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

  /** Whether every pin still is this namespace's. */
  get isPinned(): boolean {
    return this.#pin.isOf(this.fd)
  }

  /** Whether another namespace was pinned in its place. */
  get isReplaced(): boolean {
    return this.#pin.isOther(this.fd)
  }

  /** Pins the namespace where it is not, as when somebody took a pin away while we held it open. */
  ensurePinned(): void {
    this.#pin.pinTo(this.fd)
  }

  /** The link with that index or name; null when there is none. */
  link(key: number | string): Link | null {
    return findLink(this.socket, key)
  }

  /** All links of the namespace. */
  links(): Link[] {
    return listLinks(this.socket)
  }

  /** One more socket in the namespace; whoever asks closes it. */
  openSocket(): NetlinkSocket {
    return inNetns(this.fd, () => new NetlinkSocket())
  }

  /** Lets go of the namespace, which the pin keeps. */
  close(): void {
    closeNetns(this)
  }

  /**
   * Removes all our links, then the pins; what is left is to close it. The kernel clears an unpinned
   * namespace away at leisure, and not while anybody still holds it; the VNI must be free before that. When it
   * fails, all of this can be asked again.
   */
  clear(): void {
    try {
      this.socket.sendAll([deleteAllOurs()])
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.code !== 'ENODEV') throw error
    }
    this.#pin.remove()
  }
}

/** The link with that index or name in the socket's namespace; null when there is none. */
export function findLink(socket: NetlinkSocket, key: number | string): Link | null {
  try {
    return readLink(socket.get(getLinks(key)))
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') return null
    throw error
  }
}

/** All links in the socket's namespace. */
export function listLinks(socket: NetlinkSocket): Link[] {
  return socket.dump(getLinks()).map(readLink)
}
