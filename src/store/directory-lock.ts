import { unlink } from 'node:fs/promises'
import { type Server, createServer } from 'node:net'
import { join } from 'node:path'
import { failure } from '../base/errors.ts'
import { errnoOf, isServed } from '../base/unix-socket.ts'

/** Gives the directory back. */
export type Release = () => Promise<void>

/**
 * Takes `directory` for this process. The lock is a socket in it, called `name`, that this process listens at: whoever
 * finds it there and is refused knows that its owner is gone, and takes its place. Only those who may
 * write into the directory can hold or break it. Throws STORE when another process has the directory.
 */
export async function lockDirectory(directory: string, name = 'lock'): Promise<Release> {
  const path = join(directory, name)
  const server = (await listenAt(path)) ?? (await takeOver(directory, path))
  server.unref()
  return () => new Promise((resolve) => server.close(() => resolve()))
}

async function takeOver(directory: string, path: string): Promise<Server> {
  if (!(await isServed(path))) {
    await unlink(path).catch((error: unknown) => {
      if (errnoOf(error) !== 'ENOENT') throw failure('STORE', `cannot remove ${path}`, error)
    })
    const server = await listenAt(path)
    if (server !== null) return server
  }
  throw failure(
    'STORE',
    `${directory} is in use by another process; stop the plugin that runs already`,
  )
}

/** Null when there is a socket already, served or not. */
function listenAt(path: string): Promise<Server | null> {
  const server = createServer((socket) => socket.destroy())
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      if (errnoOf(error) === 'EADDRINUSE') resolve(null)
      else reject(failure('STORE', `cannot lock ${path}: ${error.message}`, error))
    })
    server.listen(path, () => resolve(server))
  })
}
