import { closeSync, openSync, writeFileSync } from 'node:fs'
import { assert, errnoOf } from '../../../base/errors.ts'
import { enterNetns, remountProc, unshareNetns } from '../netlink/syscall.ts'

/**
 * Visits of this thread to other network namespaces. They are synchronous from start to end:
 * nothing of the event loop may run in another namespace. libuv's threads must exist before the
 * first visit (`await stat('/')` once), or they would be created in the namespace that is visited.
 */

/** The namespace of this thread. Not /proc/self: that is the main thread's. */
const ownNetns = '/proc/thread-self/ns/net'
/** Where the kernel shows each thread the settings of the network namespace that it is in. */
const sysctlRoot = '/proc/sys'

/** A descriptor of the namespace that this thread is in. */
export function openOwnNetns(): number {
  return openSync(ownNetns, 'r')
}

/**
 * Runs `visit` in the namespace of `fd` and returns from there. If it cannot return, the process
 * ends.
 */
export function inNetns<T>(fd: number, visit: () => T): T {
  return visitAndReturn(() => enterNetns(fd), visit)
}

/** Runs `visit` in a new, empty namespace, which ends with the last descriptor of it. */
export function inNewNetns<T>(visit: () => T): T {
  return visitAndReturn(unshareNetns, visit)
}

/**
 * Writes a setting below `net/` of the network namespace that this thread is in. A container has
 * the folder read-only; it is writable for that moment then.
 */
export function writeNetSysctl(name: string, value: string): void {
  const write = (): void => writeFileSync(`${sysctlRoot}/net/${name}`, value)
  try {
    write()
  } catch (error) {
    if (errnoOf(error) !== 'EROFS') throw error
    remountProc(sysctlRoot, 'writable')
    try {
      write()
    } finally {
      remountProc(sysctlRoot, 'read-only')
    }
  }
}

function visitAndReturn<T>(enter: () => void, visit: () => T): T {
  const home = openOwnNetns()
  try {
    enter()
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
    // Everything this process does from here on would happen in another namespace than it thinks.
    process.abort()
  }
}
