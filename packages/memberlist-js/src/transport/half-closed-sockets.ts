import type { Socket } from 'node:net'
import { MAX_HALF_CLOSED_STREAMS } from '../limits.ts'
import type { Clock } from '../ports/clock.ts'

/** How long the other side may take to close after we did, whatever it sends meanwhile. */
const MAX_HALF_CLOSED_MS = 5000

/**
 * The sockets that we have closed and the other side has not. They cost a descriptor each, so there
 * is an end to their time and to their number; of too many the oldest is dropped, which had the
 * longest time to read.
 */
export class HalfClosedSockets {
  readonly #clock: Clock
  readonly #sockets = new Set<Socket>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(socket: Socket): void {
    if (socket.destroyed || this.#sockets.has(socket)) return
    const [oldest] = this.#sockets
    if (this.#sockets.size >= MAX_HALF_CLOSED_STREAMS && oldest !== undefined) {
      this.#sockets.delete(oldest)
      oldest.destroy()
    }
    this.#sockets.add(socket)
    const timer = this.#clock.setTimeout(() => socket.destroy(), MAX_HALF_CLOSED_MS)
    socket.once('close', () => {
      this.#clock.clearTimeout(timer)
      this.#sockets.delete(socket)
    })
  }
}
