import { createConnection } from 'node:net'
import { errnoOf } from './errors.ts'

/**
 * Whether a process listens at `path`. Only a refused connection, or none to make, proves the
 * contrary.
 */
export function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error) => {
      resolve(!['ECONNREFUSED', 'ENOENT'].includes(errnoOf(error)))
    })
  })
}
