import type { Disk, GrowingFile, Replacement } from '../../../src/store/disk.ts'

/** A verb of the disk that can be made to fail. */
export type Verb = 'append' | 'grow' | 'replace' | 'sync' | 'syncName' | 'truncate'

interface Inode {
  durable: Buffer
  /** What the kernel has and a crash may lose, in part or whole. */
  unsynced: Buffer
}

/** A disk in memory: it counts, it can fail, and it can lose what was not synced. */
export class FakeDisk implements Disk {
  readonly #files = new Map<string, Inode>()
  /** Each name's inode as of the last syncName: what a crash may bring back. */
  readonly #durableNames = new Map<string, Inode>()
  readonly counts: Record<Verb, number> = {
    append: 0,
    grow: 0,
    replace: 0,
    sync: 0,
    syncName: 0,
    truncate: 0,
  }
  /** Verbs that fail, with how many bytes of an append are taken before it does. */
  readonly failing = new Map<Verb, { message: string; bytesTaken: number }>()

  /** The disk after a crash: of what was not synced, only the first `kept` bytes, then zeros. */
  afterCrash(kept: number, zeros = 0, namesKept = true): FakeDisk {
    const after = new FakeDisk()
    for (const [path, inode] of namesKept ? this.#files : this.#durableNames) {
      const rest = inode.unsynced.subarray(0, kept)
      const tail = rest.length < inode.unsynced.length ? Buffer.alloc(zeros) : Buffer.alloc(0)
      after.#files.set(path, {
        durable: Buffer.concat([inode.durable, rest, tail]),
        unsynced: Buffer.alloc(0),
      })
    }
    return after
  }

  /** How many bytes a crash may lose. */
  get unsyncedBytes(): number {
    return Math.max(0, ...[...this.#files.values()].map(({ unsynced }) => unsynced.length))
  }

  contentOf(path: string): Buffer {
    const inode = this.#files.get(path)!
    return Buffer.concat([inode.durable, inode.unsynced])
  }

  put(path: string, bytes: Buffer): void {
    this.#files.set(path, { durable: Buffer.from(bytes), unsynced: Buffer.alloc(0) })
  }

  async read(path: string): Promise<Buffer | null> {
    return this.#files.has(path) ? this.contentOf(path) : null
  }

  async replace(path: string, bytes: Uint8Array): Promise<Replacement> {
    this.#step('replace')
    this.put(path, Buffer.from(bytes))
    const inode = this.#files.get(path)!
    return {
      file: this.#growing(inode),
      syncName: async () => {
        this.#step('syncName')
        this.#durableNames.set(path, inode)
      },
    }
  }

  async grow(path: string): Promise<GrowingFile> {
    this.#step('grow')
    return this.#growing(this.#files.get(path)!)
  }

  #growing(inode: Inode): GrowingFile {
    return {
      append: async (bytes) => {
        const failure = this.failing.get('append')
        const taken = failure === undefined ? bytes : bytes.subarray(0, failure.bytesTaken)
        inode.unsynced = Buffer.concat([inode.unsynced, taken])
        await new Promise(setImmediate)
        this.#step('append')
      },
      sync: async () => {
        await new Promise(setImmediate)
        this.#step('sync')
        inode.durable = Buffer.concat([inode.durable, inode.unsynced])
        inode.unsynced = Buffer.alloc(0)
      },
      truncate: async (bytes) => {
        this.#step('truncate')
        const whole = Buffer.concat([inode.durable, inode.unsynced]).subarray(0, bytes)
        inode.durable = whole.subarray(0, inode.durable.length)
        inode.unsynced = whole.subarray(inode.durable.length)
      },
      close: async () => {},
    }
  }

  #step(verb: Verb): void {
    this.counts[verb]++
    const failure = this.failing.get(verb)
    if (failure !== undefined) throw new Error(failure.message)
  }
}
