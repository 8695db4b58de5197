import { closeSync, openSync } from 'node:fs'
import { failure } from '../../base/errors.ts'
import { type Link, readLink } from './link.ts'
import { deleteAllOurs, getLinks } from './link-requests.ts'
import {
  inNetns,
  inNewNetns,
  isPinOf,
  isPinned,
  openOwnNetns,
  pinFd,
  pinHere,
  unpin,
} from './netns.ts'
import { NetlinkError, NetlinkSocket } from './netlink-socket.ts'

/** The host's network namespace: a socket in it, and a descriptor that stands for it. */
export interface HostNetns {
  readonly socket: NetlinkSocket
  readonly fd: number
}

/** An overlay's network namespace: pinned by a file, reached by a netlink socket that lives in it. */
export class OverlayNetns {
  readonly path: string
  /** Stands for the namespace in requests to other namespaces. */
  readonly fd: number
  readonly socket: NetlinkSocket

  private constructor(path: string, fd: number, socket: NetlinkSocket) {
    this.path = path
    this.fd = fd
    this.socket = socket
  }

  /** Makes a namespace and pins it at `path`. */
  static create(path: string): OverlayNetns {
    return inNewNetns(() => {
      pinHere(path)
      return new OverlayNetns(path, openOwnNetns(), new NetlinkSocket())
    })
  }

  /** Opens the namespace that is pinned at `path`; null when there is none. */
  static open(path: string): OverlayNetns | null {
    if (!isPinned(path)) return null
    const fd = openSync(path, 'r')
    try {
      return new OverlayNetns(
        path,
        fd,
        inNetns(fd, () => new NetlinkSocket()),
      )
    } catch (error) {
      closeSync(fd)
      if ((error as { code?: unknown }).code !== 'EINVAL') throw error
      // A namespace of another kind.
      throw failure('KERNEL', `${path} is no network namespace; unmount it: umount ${path}`, error)
    }
  }

  /** Whether the pin still is this namespace's. */
  get isPinned(): boolean {
    return isPinOf(this.path, this.fd)
  }

  /** Pins the namespace again, when somebody took the pin away while we held it open. */
  pinAgain(): void {
    unpin(this.path)
    pinFd(this.fd, this.path)
  }

  /** The link with that index or name; null when there is none. */
  link(key: number | string): Link | null {
    return linkOf(this.socket, key)
  }

  /** All links of the namespace. */
  links(): Link[] {
    return linksOf(this.socket)
  }

  /** One more socket in the namespace; whoever asks closes it. */
  openSocket(): NetlinkSocket {
    return inNetns(this.fd, () => new NetlinkSocket())
  }

  /** Lets go of the namespace, which the pin keeps. */
  close(): void {
    this.socket.close()
    closeSync(this.fd)
  }

  /**
   * Removes all our links, then the pin. The kernel clears an unpinned namespace away at leisure, and
   * not while anybody still holds it; the VNI must be free before that. When it fails, all of this can be
   * asked again.
   */
  destroy(): void {
    try {
      this.socket.sendAll([deleteAllOurs()])
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.code !== 'ENODEV') throw error
    }
    unpin(this.path)
    this.close()
  }
}

/** The link with that index or name in the socket's namespace; null when there is none. */
export function linkOf(socket: NetlinkSocket, key: number | string): Link | null {
  try {
    return readLink(socket.get(getLinks(key)))
  } catch (error) {
    if (error instanceof NetlinkError && error.code === 'ENODEV') return null
    throw error
  }
}

/** All links in the socket's namespace. */
export function linksOf(socket: NetlinkSocket): Link[] {
  return socket.dump(getLinks()).map(readLink)
}
