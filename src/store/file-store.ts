import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type OverlayError, failure, messageOf } from '../base/errors.ts'
import type { Logger } from '../base/logger.ts'
import { type Release, lockDirectory } from './directory-lock.ts'
import { type Disk, type GrowingFile, type Replacement, machineDisk } from './disk.ts'
import { groupRecord, replay, snapshotRecord } from './journal.ts'
import { type Migration, formatAfter, migrations } from './migrations.ts'
import type { Store, StoreChange } from './store.ts'
import { Tables, type TextChange, textChanges } from './tables.ts'

/**
 * The journal is compacted after this much growth, or more: some 5,000 writes, which replay in a
 * few milliseconds.
 */
const minGrowthBytes = 1024 * 1024

/** The file in the store's directory. */
const journalName = 'journal'

/** One write that waits for the disk. */
interface Waiting {
  readonly changes: readonly TextChange[]
  readonly resolve: () => void
  readonly reject: (reason: OverlayError) => void
}

/** What is open while the store is. */
interface Journal {
  readonly path: string
  readonly format: number
  readonly tables: Tables
  file: GrowingFile
  /** The number of the last group of writes. */
  sequence: number
  /** The size up to which the file is whole and durable. */
  bytes: number
  /** The size at which the file is compacted next. */
  compactAt: number
}

interface Environment {
  readonly logger: Logger
  readonly disk: Disk
  readonly release: Release
}

/** A store in a directory of its own: one journal, in which each group of writes is one record. */
export class FileStore implements Store {
  readonly #journal: Journal
  readonly #env: Environment
  #waiting: Waiting[] = []
  #flushing: Promise<void> | null = null
  /** Why writes are refused; null while they are not. */
  #ended: string | null = null

  private constructor(journal: Journal, env: Environment) {
    this.#journal = journal
    this.#env = env
  }

  /**
   * Opens the store in `directory`, which is made when it is not there. What a crash left half
   * written at the end is cut off, with a warning, and an older format is migrated. Throws STORE
   * when the journal is damaged or of a newer format, or when another process has it open.
   */
  static async open(
    directory: string,
    {
      logger,
      disk = machineDisk,
      steps = migrations,
      take = takeDirectory,
    }: {
      logger: Logger
      disk?: Disk
      steps?: readonly Migration[]
      /** Makes the directory and keeps other processes out of it. */
      take?: (directory: string) => Promise<Release>
    },
  ): Promise<FileStore> {
    const release = await take(directory)
    try {
      const path = join(directory, journalName)
      return new FileStore(await load(path, disk, logger, steps), { logger, disk, release })
    } catch (error) {
      await release()
      throw error
    }
  }

  get<T>(table: string, key: string): T | undefined {
    return this.#journal.tables.get<T>(table, key)
  }

  entries<T>(table: string): [string, T][] {
    return this.#journal.tables.entries<T>(table)
  }

  write(changes: readonly StoreChange[]): Promise<void> {
    if (this.#ended !== null) return Promise.reject(failure('STORE', this.#ended))
    const texts = textChanges(changes)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ changes: texts, resolve, reject })
      this.#flushing ??= this.#flush()
    })
  }

  /** Finishes the writes that wait, and gives the directory back. Later writes are refused. */
  async close(): Promise<void> {
    await this.#flushing
    this.#ended ??= `the store ${this.#journal.path} is closed`
    await this.#journal.file.close()
    await this.#env.release()
  }

  /** Group commit: all writes that arrive during one sync share the next. */
  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      const changes = group.flatMap((waiting) => waiting.changes)
      const error = await this.#append(changes)
      if (error === null) this.#journal.tables.apply(changes)
      for (const { resolve, reject } of group) {
        if (error === null) resolve()
        else reject(error)
      }
      if (error === null) await this.#compact()
    }
    this.#flushing = null
  }

  /** Makes one group of writes durable; else leaves the file as it was and returns the error. */
  async #append(changes: readonly TextChange[]): Promise<OverlayError | null> {
    if (this.#ended !== null) return failure('STORE', this.#ended)
    const journal = this.#journal
    if (journal.sequence === 0) return this.#begin(changes)
    const record = groupRecord(changes, journal.sequence + 1)
    try {
      await journal.file.append(record)
    } catch (error) {
      // A part of it may be there, and the next record has to follow a whole one.
      await journal.file.truncate(journal.bytes).catch((reason: unknown) => this.#end(reason))
      return failure('STORE', `cannot write to ${journal.path}: ${messageOf(error)}`, error)
    }
    try {
      await journal.file.sync()
    } catch (error) {
      // What the disk has of it is unknown now, and a second sync would not tell: see fsync(2).
      return failure('STORE', this.#end(error), error)
    }
    journal.sequence++
    journal.bytes += record.length
    return null
  }

  /**
   * Writes the first group of all. It becomes the first record, so that a journal with rows, cut
   * anywhere, is never taken for an empty one.
   */
  async #begin(changes: readonly TextChange[]): Promise<OverlayError | null> {
    const { path, format } = this.#journal
    const tables = new Tables()
    tables.apply(changes)
    const snapshot = snapshotRecord(tables.rows(), 1, format)
    let next: Replacement
    try {
      next = await this.#env.disk.replace(path, snapshot)
    } catch (error) {
      return failure('STORE', `cannot write to ${path}: ${messageOf(error)}`, error)
    }
    const reason = await this.#goOnWith(next, snapshot.length)
    if (reason !== null) return failure('STORE', reason)
    this.#journal.sequence = 1
    return null
  }

  /** Replaces the journal by a snapshot of its rows once it has grown enough. */
  async #compact(): Promise<void> {
    const journal = this.#journal
    const { disk, logger } = this.#env
    if (journal.bytes < journal.compactAt) return
    const snapshot = snapshotRecord(journal.tables.rows(), journal.sequence, journal.format)
    let next: Replacement
    try {
      next = await disk.replace(journal.path, snapshot)
    } catch (error) {
      journal.compactAt = journal.bytes + minGrowthBytes
      logger.warn(`${journal.path} goes on growing: ${messageOf(error)}`)
      return
    }
    await this.#goOnWith(next, snapshot.length)
  }

  /**
   * Switches to the file that has replaced the journal. Returns why no write is possible any more,
   * or null.
   */
  async #goOnWith(next: Replacement, snapshotBytes: number): Promise<string | null> {
    const journal = this.#journal
    const before = journal.file
    journal.file = next.file
    journal.bytes = snapshotBytes
    journal.compactAt = compactAt(snapshotBytes)
    try {
      await next.syncName()
      await before.close()
      return null
    } catch (error) {
      return this.#end(error)
    }
  }

  /** Refuses all later writes: only opening the journal again tells what the disk holds. */
  #end(reason: unknown): string {
    this.#ended ??= `${this.#journal.path} cannot be relied on after: ${messageOf(reason)}; restart the plugin`
    this.#env.logger.warn(this.#ended)
    return this.#ended
  }
}

async function takeDirectory(directory: string): Promise<Release> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  return lockDirectory(directory)
}

/** The size at which a journal with a snapshot of this size is compacted: twice that, or more. */
function compactAt(snapshotBytes: number): number {
  return snapshotBytes + Math.max(minGrowthBytes, snapshotBytes)
}

/** Reads the journal, makes an empty one when there is none, and cuts off what a crash left. */
async function load(
  path: string,
  disk: Disk,
  logger: Logger,
  steps: readonly Migration[],
): Promise<Journal> {
  const format = formatAfter(steps)
  const bytes = (await disk.read(path)) ?? (await newJournal(path, disk, format))
  const found = replay(bytes, format)
  if (found.kind === 'bad') {
    throw failure(
      'STORE',
      `the store ${path} cannot be read, ${found.reason}. Put a copy back, or move the file away: ` +
        'the plugin then starts without its networks, which have to be removed and made again',
    )
  }
  const { tables, sequence } = found
  logger.info(`${path} has rows: ${tables.rows().length}, groups of writes: ${sequence}`)
  const torn = bytes.length - found.goodBytes
  if (torn > 0) logger.warn(`cut ${torn} bytes off ${path}: a write that a crash interrupted`)
  if (found.format < format) {
    for (const step of steps.slice(found.format - 1)) tables.apply(textChanges(step(tables)))
    const snapshot = snapshotRecord(tables.rows(), sequence, format)
    const file = await replaceAll(path, disk, snapshot)
    logger.info(`${path} had format ${found.format} and has format ${format} now`)
    return opened(file, snapshot.length, snapshot.length)
  }
  const file = await disk.grow(path)
  if (torn > 0) {
    await file.truncate(found.goodBytes)
    await file.sync()
  }
  return opened(file, found.goodBytes, found.snapshotBytes)

  function opened(grown: GrowingFile, size: number, snapshotBytes: number): Journal {
    const sizes = { bytes: size, compactAt: compactAt(snapshotBytes) }
    return { path, format, tables, file: grown, sequence, ...sizes }
  }
}

async function newJournal(path: string, disk: Disk, format: number): Promise<Buffer> {
  const bytes = snapshotRecord([], 0, format)
  const file = await replaceAll(path, disk, bytes)
  await file.close()
  return bytes
}

/** Makes this the file's content, durably. When it fails, the old content is there. */
async function replaceAll(path: string, disk: Disk, bytes: Uint8Array): Promise<GrowingFile> {
  try {
    const { file, syncName } = await disk.replace(path, bytes)
    await syncName()
    return file
  } catch (error) {
    throw failure(
      'STORE',
      `cannot write ${path}: ${messageOf(error)}; make room on the disk`,
      error,
    )
  }
}
