import { createConnection } from 'node:net'

/** Whether a process listens at `path`. Only a refused connection, or none to make, proves the contrary. */
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

/** The name of a system call's error, such as ENOENT; empty for anything else that was thrown. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}
