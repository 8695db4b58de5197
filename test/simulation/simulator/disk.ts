import type { Clock } from 'memberlist-js'
import { below, type Random } from '../../../src/base/random.ts'
import type { Disk, GrowingFile, Replacement } from '../../../src/store/disk.ts'
import type { Life } from './life.ts'

/** A file: what a process reads of it, and how much of that a loss of power leaves. */
interface Inode {
  bytes: Buffer
  syncedBytes: number
}

/** What an operation takes, ms: one that only reaches the page cache, and one that reaches the platter. */
const cachedMs = 0.02
const syncedMs = 0.6

/** What is on a disk, to put back later. */
export type DiskCopy = ReadonlyMap<string, Buffer>

/** An operation under way. What came of it when the host stops meanwhile is up to chance. */
interface Pending {
  apply: () => void
  done: boolean
}

/**
 * A host's disk. What was written and not synced survives a crash of the process, and may not survive one of the host. A
 * full disk takes a part of what is written and fails with ENOSPC.
 */
export class SimulatedDisk {
  full = false
  /** Operations so far. */
  operations = 0
  readonly #clock: Clock
  readonly #random: Random
  readonly #names = new Map<string, Inode>()
  readonly #durableNames = new Map<string, Inode>()
  readonly #pending = new Set<Pending>()
  #crashIn = 0
  #crash: () => void = () => {}

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Calls `crash` between two operations, after as many of them from now on. */
  crashAfter(operations: number, crash: () => void): void {
    this.#crashIn = operations
    this.#crash = crash
  }

  /** The disk as one life of a process sees it. */
  of(life: Life): Disk {
    const io = <T>(ms: number, apply: () => T): Promise<T> => this.#io(life, ms, apply)
    const growing = (inode: Inode): GrowingFile => ({
      append: (bytes) => io(cachedMs, () => this.#append(inode, bytes)),
      sync: () => io(syncedMs, () => void (inode.syncedBytes = inode.bytes.length)),
      truncate: (bytes) =>
        io(cachedMs, () => {
          inode.bytes = inode.bytes.subarray(0, bytes)
          inode.syncedBytes = Math.min(inode.syncedBytes, bytes)
        }),
      close: () => io(cachedMs, () => undefined),
    })
    return {
      read: (path) =>
        io(cachedMs, () => {
          const inode = this.#names.get(path)
          return inode === undefined ? null : Buffer.from(inode.bytes)
        }),
      replace: (path, bytes): Promise<Replacement> =>
        io(syncedMs, () => {
          if (this.full) throw noSpace()
          const inode = { bytes: Buffer.from(bytes), syncedBytes: bytes.length }
          this.#names.set(path, inode)
          const syncName = (): Promise<void> =>
            io(syncedMs, () => void this.#durableNames.set(path, inode))
          return { file: growing(inode), syncName }
        }),
      grow: (path) => io(cachedMs, () => growing(this.#names.get(path)!)),
    }
  }

  /** The process ended: what it was doing may or may not have been done. The system goes on. */
  processEnds(): void {
    for (const pending of this.#pending) {
      pending.done = true
      if (below(this.#random, 2) === 0) this.#quietly(pending.apply)
    }
    this.#pending.clear()
    this.#crashIn = 0
  }

  /** The host loses its power: what was not synced may be gone, a file's new name too. */
  losePower(): void {
    this.processEnds()
    for (const [path, inode] of this.#names) {
      const durable = this.#durableNames.get(path)
      const isKept = durable === inode || below(this.#random, 2) === 0
      const kept = isKept ? inode : durable
      if (kept === undefined) {
        this.#names.delete(path)
        continue
      }
      const unsynced = kept.bytes.length - kept.syncedBytes
      const left = kept.syncedBytes + below(this.#random, unsynced + 1)
      const whole = { bytes: kept.bytes.subarray(0, left), syncedBytes: left }
      this.#names.set(path, whole)
      this.#durableNames.set(path, whole)
    }
  }

  /** The disk is another, empty one. */
  wipe(): void {
    this.#names.clear()
    this.#durableNames.clear()
    this.full = false
  }

  copy(): DiskCopy {
    return new Map([...this.#durableNames].map(([path, { bytes }]) => [path, Buffer.from(bytes)]))
  }

  /** Puts a copy in the place of what is there. No process may have it open. */
  restore(copy: DiskCopy): void {
    this.wipe()
    for (const [path, bytes] of copy) {
      const inode = { bytes: Buffer.from(bytes), syncedBytes: bytes.length }
      this.#names.set(path, inode)
      this.#durableNames.set(path, inode)
    }
  }

  #io<T>(life: Life, ms: number, apply: () => T): Promise<T> {
    if (!life.isAlive) return new Promise(() => {})
    if (this.#crashIn > 0 && --this.#crashIn === 0) {
      // Between this operation and the one before; the caller sees neither.
      this.#clock.setTimeout(this.#crash, 0)
      return new Promise(() => {})
    }
    this.operations++
    return new Promise((resolve, reject) => {
      const pending: Pending = { apply, done: false }
      this.#pending.add(pending)
      this.#clock.setTimeout(() => {
        if (pending.done) return
        this.#pending.delete(pending)
        try {
          const result = apply()
          life.resume(() => resolve(result))
        } catch (error) {
          life.resume(() => reject(error))
        }
      }, ms)
    })
  }

  #append(inode: Inode, bytes: Uint8Array): void {
    const taken = this.full ? below(this.#random, bytes.length) : bytes.length
    inode.bytes = Buffer.concat([inode.bytes, bytes.subarray(0, taken)])
    if (taken < bytes.length) throw noSpace()
  }

  #quietly(apply: () => void): void {
    try {
      apply()
    } catch {
      // Nobody is left to be told that the disk is full.
    }
  }
}

function noSpace(): Error {
  return Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
}
