import { closeSync, constants, openSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { isSystemError } from '../../../base/errors.ts'
import { type Request, readAttributes } from '../netlink/message.ts'
import { NetlinkError, type NetlinkSocket } from '../netlink/netlink-socket.ts'
import * as rt from '../netlink/rtnetlink.ts'

/**
 * Namespace ids (NETNSA_NSID): the numbers by which a network namespace refers to others. With such
 * an id the links of a namespace can be read and removed although it has no path.
 */

/** Where namespaces usually have a file. */
const usualFolders = ['/run/netns', '/run/docker/netns']
/** struct rtgenmsg, padded. */
const generalHeaderBytes = 4

/** Gives the namespace of `fd` an id in the socket's namespace, of the kernel's choice. */
export function assignNetnsId(socket: NetlinkSocket, fd: number): void {
  const [error] = socket.send([netnsIdRequest(rt.RTM_NEWNSID, fd, -1)]).values()
  if (error !== undefined && error.code !== 'EEXIST') throw error
}

/** The ids that the socket's namespace has for others. */
export function netnsIds(socket: NetlinkSocket): number[] {
  return socket.dump(netnsIdRequest(rt.RTM_GETNSID)).map((message) => readNetnsId(message.body))
}

/** The id that the socket's namespace has for that of `fd`; null when it has none. */
export function netnsIdOf(socket: NetlinkSocket, fd: number): number | null {
  try {
    const id = readNetnsId(socket.get(netnsIdRequest(rt.RTM_GETNSID, fd)).body)
    return id < 0 ? null : id
  } catch (error) {
    // The descriptor is of something other than a network namespace.
    if (error instanceof NetlinkError) return null
    throw error
  }
}

function netnsIdRequest(type: number, fd?: number, id?: number): Request {
  return {
    type,
    flags: 0,
    body: (writer) => {
      writer.u32(rt.AF_UNSPEC)
      if (fd !== undefined) writer.u32Attribute(rt.NETNSA_FD, fd)
      if (id !== undefined) writer.u32Attribute(rt.NETNSA_NSID, id >>> 0)
    },
  }
}

function readNetnsId(body: Buffer): number {
  return readAttributes(body.subarray(generalHeaderBytes)).get(rt.NETNSA_NSID)?.readInt32LE() ?? -1
}

/** A file of the namespace with that id; null when it has none in the usual folders. */
export function netnsPathOf(
  socket: NetlinkSocket,
  netnsId: number,
  folders: readonly string[] = usualFolders,
): string | null {
  const paths = folders.flatMap((folder) => filesIn(folder).map((name) => join(folder, name)))
  return paths.find((path) => isFileOf(path, socket, netnsId)) ?? null
}

function isFileOf(path: string, socket: NetlinkSocket, netnsId: number): boolean {
  let fd: number
  try {
    // Opening a pipe would block.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (!isSystemError(error)) throw error
    // Gone since it was listed, or a link to nowhere.
    return false
  }
  try {
    return netnsIdOf(socket, fd) === netnsId
  } finally {
    closeSync(fd)
  }
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if (!isSystemError(error)) throw error
    // Absent, or not visible from here: the error message then has no path.
    return []
  }
}
