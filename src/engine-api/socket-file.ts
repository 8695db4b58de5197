import { lstat, unlink } from 'node:fs/promises'
import { errnoOf, failure } from '../base/errors.ts'
import { isServed } from '../base/unix-socket.ts'

/**
 * Makes way for a listening socket at `path`: removes the file that a process left there when it
 * was killed. Throws SOCKET when another process still serves it, or when it is no socket.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return null
    throw failure('SOCKET', `cannot look at the socket ${path}`, error)
  })
  if (stats === null) return
  if (!stats.isSocket()) {
    throw failure('SOCKET', `${path} is in the way and is no socket; remove it`)
  }
  if (await isServed(path)) {
    throw failure('SOCKET', `another process serves ${path}; stop it, or disable its plugin`)
  }
  await unlink(path).catch((error: unknown) => {
    if (errnoOf(error) !== 'ENOENT') {
      throw failure('SOCKET', `cannot remove the stale socket ${path}`, error)
    }
  })
}
