import { join } from 'node:path'
import { isSystemError, messageOf } from '../../../base/errors.ts'
import { isPinOf, isPinned, pinFd, unpin } from './netns.ts'

/**
 * The files that pin one namespace, which lives as long as one of them does. There is more than one place
 * because the engine clears a plugin's own folders of mounts when it is disabled or upgraded, and when
 * the engine itself stops in good order. One that holds is enough; what the others lack is told.
 */
export class Pin {
  readonly #paths: readonly string[]
  readonly #warn: (message: string) => void

  /** The file of that name in each of the directories, of which there is one at least. */
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
  isOf(fd: number): boolean {
    return this.#paths.every((path) => isPinOf(path, fd))
  }

  /** Whether a namespace is pinned that is not the one of `fd`. */
  isOther(fd: number): boolean {
    const path = this.find()
    return path !== null && !isPinOf(path, fd)
  }

  /** Pins the namespace of `fd`, in place of any other, where that is not so already. */
  pinTo(fd: number): void {
    const failures: unknown[] = []
    for (const path of this.#paths.filter((lacking) => !isPinOf(lacking, fd)))
      try {
        unpin(path)
        pinFd(fd, path)
      } catch (error) {
        if (!isSystemError(error) || failures.push(error) === this.#paths.length) throw error
        this.#warn(`${path} pins no namespace, only the other place does: ${messageOf(error)}`)
      }
  }

  /** Takes all pins away. None is no error. */
  remove(): void {
    for (const path of this.#paths) unpin(path)
  }
}
