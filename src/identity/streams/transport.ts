/**
 * What this room needs of a transport, and offers itself: memberlist-js's port fits, structurally.
 */

export interface Endpoint {
  readonly address: string
  readonly port: number
  /** Of a sender: its name by its certificate. Of a receiver: which member it has to be. */
  readonly name?: string
}

/** One reliable connection: bytes in order, both ways. */
export interface Stream extends AsyncIterable<Uint8Array> {
  write(bytes: Uint8Array): Promise<void>
  /** Closes in order. What the other side still sends is passed over. */
  close(): void
  destroy(reason?: Error): void
}

export type PacketReceiver = (packet: Uint8Array, from: Endpoint, receivedAt: number) => void
export type StreamReceiver = (stream: Stream, from: Endpoint) => void

export interface Transport {
  readonly advertise: Endpoint
  send(packet: Uint8Array, to: Endpoint): void
  onPacket(receive: PacketReceiver): void
  dial(to: Endpoint, options: { readonly signal: AbortSignal }): Promise<Stream>
  onStream(receive: StreamReceiver): void
  resolve?(host: string): Promise<readonly string[]>
  close(): Promise<void>
}
