import { join } from 'node:path'
import { isPinOf, isPinned, pinFd, pinHere, unpin } from './netns.ts'

/**
 * The files that pin one namespace, which lives as long as one of them does. There is more than one place
 * because the engine clears a plugin's own folders of mounts when it is disabled or upgraded, and when
 * the engine itself stops in good order.
 */
export class Pin {
  readonly #paths: readonly string[]

  /** The file of that name in each of the directories, of which there is one at least. */
  constructor(directories: readonly string[], name: string) {
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

  /** Pins the namespace that this thread is in, in place of any other. */
  pinHere(): void {
    for (const path of this.#paths) {
      unpin(path)
      pinHere(path)
    }
  }

  /** Pins the namespace of `fd` where that is not so already. */
  pinAgain(fd: number): void {
    for (const path of this.#paths) {
      if (isPinOf(path, fd)) continue
      unpin(path)
      pinFd(fd, path)
    }
  }

  /** Takes all pins away. None is no error. */
  remove(): void {
    for (const path of this.#paths) unpin(path)
  }
}
