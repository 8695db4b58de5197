import { expect } from 'chai'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { Keyring, Memberlist, SocketTransport, VirtualClock } from 'memberlist-js'
import { MAX_HALF_CLOSED_STREAMS } from '../../../src/limits.ts'

const DRIPPERS = 600
const BATCH = 50

/**
 * Opens a stream, says something for which it is refused at once, and does not close after the
 * answer.
 */
async function refusedDripper(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  const ended = once(socket, 'end')
  socket.write(Buffer.of(0, 1, 2, 3))
  socket.resume()
  await ended
  return socket
}

/** Waits for what the sockets of this process bring about. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn()
}

describe('connections that the other side does not close', () => {
  it('are few, and end in time although each goes on sending', async () => {
    const clock = new VirtualClock()
    const transport = await SocketTransport.bind({ bindAddress: '127.0.0.1', port: 0, clock })
    const keyring = new Keyring([new Uint8Array(32)])
    await using list = new Memberlist({ name: 'm', transport, keyring })
    list.start()
    const sockets: Socket[] = []
    for (let i = 0; i < DRIPPERS; i += BATCH) {
      const { port } = list.local
      const batch = Array.from({ length: BATCH }, async () => await refusedDripper(port))
      sockets.push(...(await Promise.all(batch)))
    }
    const open = () => sockets.filter(({ destroyed }) => !destroyed).length
    const drip = setInterval(() => {
      for (const socket of sockets) if (!socket.destroyed) socket.write('x')
    }, 20)
    try {
      await until(() => open() <= MAX_HALF_CLOSED_STREAMS)
      await clock.advance(4999)
      expect(open(), 'open before the time for closing is over').to.equal(MAX_HALF_CLOSED_STREAMS)
      await clock.advance(1)
      await until(() => open() === 0)
      expect(list.counters['stream-plaintext-refused']).to.equal(DRIPPERS)
    } finally {
      clearInterval(drip)
      for (const socket of sockets) socket.destroy()
    }
  })
})
