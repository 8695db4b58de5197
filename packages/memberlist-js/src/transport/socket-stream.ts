import type { Socket } from 'node:net'
import type { HalfClosedSockets } from './half-closed-sockets.ts'
import type { Stream } from './transport.ts'

/** A TCP connection as a {@link Stream}. */
export class SocketStream implements Stream {
  readonly #socket: Socket
  readonly #halfClosed: HalfClosedSockets
  #wake: () => void = () => undefined

  constructor(socket: Socket, halfClosed: HalfClosedSockets) {
    this.#socket = socket
    this.#halfClosed = halfClosed
    const wake = () => this.#wake()
    socket.on('readable', wake).on('end', wake).on('close', wake)
  }

  async write(bytes: Uint8Array): Promise<void> {
    const socket = this.#socket
    if (socket.destroyed) throw broken(socket)
    await new Promise<void>((resolve, reject) => {
      const closed = () => reject(broken(socket))
      socket.once('close', closed)
      socket.write(bytes, (error) => {
        socket.off('close', closed)
        if (error == null) resolve()
        else reject(error)
      })
    })
  }

  close(): void {
    const socket = this.#socket
    socket.end()
    // What still comes is passed over, so that the other side's end arrives and the socket closes.
    socket.removeAllListeners('readable')
    socket.resume()
    this.#halfClosed.add(socket)
  }

  destroy(reason?: Error): void {
    this.#socket.destroy(reason)
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    const socket = this.#socket
    for (;;) {
      const chunk = socket.read() as Buffer | null
      if (chunk !== null) yield chunk
      else if (socket.readableEnded) return
      else if (socket.destroyed) throw broken(socket)
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}

function broken(socket: Socket): Error {
  return socket.errored ?? new Error('the connection was closed')
}
