import { type FileHandle, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf } from '../base/errors.ts'

/** A file that grows at its end. */
export interface GrowingFile {
  /** Adds all the bytes, or throws, having added any part of them. */
  append(bytes: Uint8Array): Promise<void>
  /** Makes everything added durable. */
  sync(): Promise<void>
  /** Cuts the file to that many bytes. Later bytes are added there. */
  truncate(bytes: number): Promise<void>
  close(): Promise<void>
}

/** A file that has replaced another. */
export interface Replacement {
  readonly file: GrowingFile
  /** Makes the rename durable. To be called once. */
  readonly syncName: () => Promise<void>
}

/** The disk as a port: what a journal needs of it. */
export interface Disk {
  /** All bytes; null when there is no such file. */
  read(path: string): Promise<Buffer | null>
  /**
   * Makes this the file's content, at once or not at all: when it throws, nothing has changed. What
   * has to be opened is opened before, so that a process that may open no more files keeps the old
   * one.
   */
  replace(path: string, bytes: Uint8Array): Promise<Replacement>
  /** Opens a file that exists. */
  grow(path: string): Promise<GrowingFile>
}

/** The machine's own disk. Files are for their owner alone. */
export const machineDisk: Disk = {
  async read(path) {
    try {
      return await readFile(path)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null
      throw error
    }
  },

  async replace(path, bytes) {
    const fresh = `${path}.new`
    const folder = await open(dirname(path), 'r')
    let file: FileHandle | null = null
    try {
      file = await open(fresh, 'w', 0o600)
      await writeAll(file, bytes, 0)
      await file.sync()
      await rename(fresh, path)
    } catch (error) {
      await folder.close()
      await file?.close()
      await rm(fresh, { force: true })
      throw error
    }
    return {
      file: growing(file, bytes.length),
      syncName: async () => {
        await using named = folder
        await named.sync()
      },
    }
  },

  async grow(path) {
    const file = await open(path, 'r+', 0o600)
    return growing(file, (await file.stat()).size)
  },
}

function growing(file: FileHandle, size: number): GrowingFile {
  let end = size
  return {
    async append(bytes) {
      await writeAll(file, bytes, end)
      end += bytes.length
    },
    sync: () => file.datasync(),
    async truncate(bytes) {
      await file.truncate(bytes)
      end = bytes
    },
    close: () => file.close(),
  }
}

/**
 * Writes at `position` until all bytes are taken: a disk that fills up takes some and then none.
 */
async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let done = 0
  while (done < bytes.length) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}
