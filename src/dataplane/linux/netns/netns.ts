import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  statSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { assert, errnoOf } from '../../../base/errors.ts'
import { bindMount, detachMount, enterNetns, unshareNetns } from '../netlink/syscall.ts'

/**
 * Network namespaces: visiting them, and pinning them by a bind mount so that they outlive this
 * process. Visits are synchronous from start to end; nothing of the event loop may run in a foreign
 * namespace. libuv's threads must exist before the first visit (`await stat('/')` once), or they would
 * be born in the namespace that is being visited.
 */

/** The namespace of this thread. Not /proc/self: that is the main thread's. */
const ownNetns = '/proc/thread-self/ns/net'
/** What statfs says of a namespace file (NSFS_MAGIC in <linux/magic.h>). */
const nsfsMagic = 0x6e73_6673

/** A descriptor of the namespace that this thread is in. */
export function openOwnNetns(): number {
  return openSync(ownNetns, 'r')
}

/** Runs `visit` in the namespace of `fd` and comes home. With no way home the process ends at once. */
export function inNetns<T>(fd: number, visit: () => T): T {
  return thereAndBack(() => enterNetns(fd), visit)
}

/** Runs `visit` in a new, empty namespace, which dies with the last thing that holds it. */
export function inNewNetns<T>(visit: () => T): T {
  return thereAndBack(unshareNetns, visit)
}

function thereAndBack<T>(go: () => void, visit: () => T): T {
  const home = openOwnNetns()
  try {
    go()
    try {
      const result = visit()
      assert(!(result instanceof Promise), 'a visit to a namespace must be synchronous')
      return result
    } finally {
      returnTo(home)
    }
  } finally {
    closeSync(home)
  }
}

function returnTo(home: number): void {
  try {
    enterNetns(home)
  } catch {
    // Everything this process does from here on would happen in a stranger's namespace.
    process.abort()
  }
}

/** Whether a namespace is pinned at `path`. An empty file may be left of a pin after a reboot. */
export function isPinned(path: string): boolean {
  try {
    return statfsSync(path).type === nsfsMagic
  } catch (error) {
    if (!isNoFile(error)) throw error
    return false
  }
}

/** Whether the namespace pinned at `path` is the one that `fd` stands for. */
export function isPinOf(path: string, fd: number): boolean {
  const [pinned, held] = [statSync(path, { throwIfNoEntry: false }), fstatSync(fd)]
  return pinned?.ino === held.ino && pinned.dev === held.dev
}

/** Pins the namespace of `fd` at `path`. */
export function pinFd(fd: number, path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, '', { flag: 'a' })
  bindMount(`/proc/self/fd/${fd}`, path)
}

/** Takes all pins at `path` away, and the file. No pin is no error. */
export function unpin(path: string): void {
  while (isPinned(path)) detachMount(path)
  try {
    unlinkSync(path)
  } catch (error) {
    if (!isNoFile(error)) throw error
  }
}

function isNoFile(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(errnoOf(error))
}
