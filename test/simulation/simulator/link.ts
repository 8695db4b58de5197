import type { SocketAddress, MemoryNetwork, Stream, Transport } from 'memberlist-js'
import type { Life } from './life.ts'

/**
 * The network as one life of a process sees it. At the end of the process its sockets are closed, as the kernel does it:
 * who has a stream to it is told. After a loss of power nobody is told.
 */
export class Link implements Transport {
  readonly advertise: SocketAddress
  readonly #life: Life
  readonly #transport: Transport
  readonly #streams = new Set<WeakRef<Stream>>()

  constructor(network: MemoryNetwork, endpoint: SocketAddress, life: Life) {
    this.advertise = endpoint
    this.#life = life
    this.#transport = network.transport(endpoint)
  }

  send(packet: Uint8Array, to: SocketAddress): void {
    if (this.#life.isAlive) this.#transport.send(packet, to)
  }

  onPacket(receive: Parameters<Transport['onPacket']>[0]): void {
    this.#transport.onPacket((packet, from) => {
      this.#life.run(() => receive(packet, from, this.#life.now()))
    })
  }

  async dial(to: SocketAddress, options: { readonly signal: AbortSignal }): Promise<Stream> {
    if (!this.#life.isAlive) return new Promise(() => {})
    const stream = await this.#transport.dial(to, options)
    this.#streams.add(new WeakRef(stream))
    return stream
  }

  onStream(receive: Parameters<Transport['onStream']>[0]): void {
    this.#transport.onStream((stream, from) => {
      this.#life.run(() => {
        this.#streams.add(new WeakRef(stream))
        receive(stream, from)
      })
    })
  }

  close(): Promise<void> {
    return this.#transport.close()
  }

  /** After the end of the process, or with `silently` of the host. */
  end(silently: boolean): void {
    if (!silently) for (const stream of this.#streams) stream.deref()?.destroy()
    void this.#transport.close()
  }
}
