import { readdir, rename, unlink } from 'node:fs/promises'
import { type Server, createServer } from 'node:net'
import { join } from 'node:path'
import { sleep, systemClock } from '../base/clock.ts'
import { errnoOf, failure, messageOf } from '../base/errors.ts'
import { systemRandom } from '../base/random.ts'
import { isServed } from '../base/unix-socket.ts'

/** Gives the directory back. */
export type Release = () => Promise<void>

/**
 * Of processes that start at the same time the first by name waits for the others to give up: 200
 * ms.
 */
const maxLooks = 11
const lookEveryMs = 20

/**
 * Locks `directory` for this process. Each contender listens at a socket there, `name` and a random
 * number; the socket gets its name after it listens, so a name without a listener is a dead
 * process's and is removed. The lock is held once no other live socket is seen: of two contenders,
 * the later one sees the other. Throws STORE when another process has the directory.
 */
export async function lockDirectory(directory: string, name = 'lock'): Promise<Release> {
  const number = systemRandom.uint32().toString(16)
  const own = `${name}-${number}`
  const server = await listenAt(join(directory, `${name}+${number}`), join(directory, own))
  const release = async (): Promise<void> => {
    await new Promise((resolve) => server.close(resolve))
    await remove(join(directory, own))
  }
  try {
    for (let look = 1; ; look++) {
      const others = await othersIn(directory, name, own)
      if (others.length === 0) {
        // From now on it does not keep the process alive.
        server.unref()
        return release
      }
      if (look === maxLooks || others.some((other) => other < own)) throw inUse(directory)
      await sleep(systemClock, lookEveryMs)
    }
  } catch (error) {
    await release()
    throw error
  }
}

/** The names of the others that live. Those of the dead are removed. */
async function othersIn(directory: string, name: string, own: string): Promise<string[]> {
  const others: string[] = []
  for (const file of await readdir(directory)) {
    if (file === own || !file.startsWith(`${name}-`)) continue
    const path = join(directory, file)
    if (await isServed(path)) others.push(file)
    else await remove(path)
  }
  return others
}

async function remove(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (errnoOf(error) !== 'ENOENT') throw failure('STORE', `cannot remove ${path}`, error)
  })
}

/** Listens at a socket that gets its name once it is served. */
async function listenAt(unseen: string, path: string): Promise<Server> {
  const server = createServer((socket) => socket.destroy())
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(unseen, resolve)
    })
    await rename(unseen, path)
  } catch (error) {
    server.close()
    throw failure('STORE', `cannot lock ${path}: ${messageOf(error)}`, error)
  }
  return server
}

function inUse(directory: string): Error {
  return failure(
    'STORE',
    `${directory} is in use by another process; stop the plugin that runs already`,
  )
}
