import { fstatSync, mkdirSync, statSync, statfsSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errnoOf, isSystemError, messageOf } from '../../../base/errors.ts'
import { bindMount, detachMount } from '../netlink/syscall.ts'

/** The file system type of a namespace file (NSFS_MAGIC in <linux/magic.h>). */
const nsfsMagic = 0x6e73_6673

/**
 * The bind mounts that pin one namespace, which exists as long as one of them does, also without
 * this process. There is more than one place because the engine unmounts a plugin's own folders
 * when it is disabled or upgraded, and when the engine itself stops in good order. One pin is
 * enough; a place that lacks one is logged.
 */
export class Pin {
  readonly #paths: readonly string[]
  readonly #warn: (message: string) => void

  /** The file `name` in each of the directories, at least one. */
  constructor(directories: readonly string[], name: string, warn: (message: string) => void) {
    this.#warn = warn
    this.#paths = directories.map((directory) => join(directory, name))
  }

  /** The first file, for messages to people. */
  get path(): string {
    return this.#paths[0]!
  }

  /** A file at which a namespace is pinned; null when there is none. */
  find(): string | null {
    return this.#paths.find((path) => isPinned(path)) ?? null
  }

  /** Whether all files pin the namespace of `fd`. */
  pins(fd: number): boolean {
    return this.#paths.every((path) => isPinOf(path, fd))
  }

  /** Whether another namespace is pinned than that of `fd`. */
  pinsOther(fd: number): boolean {
    const path = this.find()
    return path !== null && !isPinOf(path, fd)
  }

  /** Pins the namespace of `fd` at every place, replacing another one. */
  pin(fd: number): void {
    const failures: unknown[] = []
    for (const path of this.#paths.filter((lacking) => !isPinOf(lacking, fd)))
      try {
        unpin(path)
        pinFd(fd, path)
      } catch (error) {
        if (!isSystemError(error) || failures.push(error) === this.#paths.length) throw error
        this.#warn(`${path}: no pin, only the other place has one: ${messageOf(error)}`)
      }
  }

  /** Removes all pins. None is no error. */
  remove(): void {
    for (const path of this.#paths) unpin(path)
  }
}

/** Whether a namespace is pinned at `path`. After a reboot a pin is an empty file. */
export function isPinned(path: string): boolean {
  try {
    return statfsSync(path).type === nsfsMagic
  } catch (error) {
    if (!isMissing(error)) throw error
    return false
  }
}

/** Whether the namespace pinned at `path` is the one that `fd` stands for. */
function isPinOf(path: string, fd: number): boolean {
  const [pinned, held] = [statSync(path, { throwIfNoEntry: false }), fstatSync(fd)]
  return pinned?.ino === held.ino && pinned.dev === held.dev
}

/** Pins the namespace of `fd` at `path`. */
export function pinFd(fd: number, path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  writeFileSync(path, '', { flag: 'a' })
  bindMount(`/proc/self/fd/${fd}`, path)
}

/** Removes all pins at `path`, and the file. No pin is no error. */
export function unpin(path: string): void {
  while (isPinned(path)) detachMount(path)
  try {
    unlinkSync(path)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
}

function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(errnoOf(error))
}
