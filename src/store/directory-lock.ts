import { stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { failure } from '../base/errors.ts'

/** Gives the directory back. */
export type Release = () => Promise<void>

/**
 * Takes `directory` for this process. The lock is a socket in the kernel's abstract name space, called
 * after the directory's inode: whatever path leads to it, one process has it, and a crash gives it
 * back at once. It is known in one network namespace; the plugin lives in the host's. Throws STORE
 * when another process has the directory.
 */
export async function lockDirectory(directory: string): Promise<Release> {
  const { dev, ino } = await stat(directory)
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        failure(
          'STORE',
          `${directory} is in use by another process; stop the plugin that runs already`,
          error,
        ),
      )
    })
    server.listen(`\0ts-overlay store ${dev}:${ino}`, resolve)
  })
  server.unref()
  return () => new Promise((resolve) => server.close(() => resolve()))
}
