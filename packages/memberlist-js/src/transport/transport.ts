import type { SocketAddress } from '../socket-address.ts'

/** One reliable connection: bytes in order, both ways. */
export interface Stream extends AsyncIterable<Uint8Array> {
  /** Hands bytes over; resolves when more may follow. Rejects when the connection broke. */
  write(bytes: Uint8Array): Promise<void>
  /**
   * Closes in order: what was written still arrives. What the other side still sends is passed
   * over.
   */
  close(): void
  /** Drops the connection; reading and writing fail with `reason`. Harmless when closed. */
  destroy(reason?: Error): void
}

/**
 * Packets and streams between endpoints. Packets may be lost, doubled, reordered, and are not
 * longer than 65,507 bytes; streams are reliable or fail.
 */
export interface Transport {
  /** Where the others reach us, for packets and streams alike. */
  readonly advertise: SocketAddress
  /**
   * Sends a packet, best effort: it never throws. `packet` is not changed afterwards by either
   * side.
   */
  send(packet: Uint8Array, to: SocketAddress): void
  /**
   * Sets who gets the packets. `receivedAt` is in milliseconds of the clock the transport was made
   * with.
   */
  onPacket(receive: (packet: Uint8Array, from: SocketAddress, receivedAt: number) => void): void
  /** Opens a stream. `signal` gives up the attempt, and with it the returned promise. */
  dial(to: SocketAddress, options: { readonly signal: AbortSignal }): Promise<Stream>
  /** Sets who gets the streams that others open. */
  onStream(receive: (stream: Stream, from: SocketAddress) => void): void
  /** The IP addresses of a host name or address. Absent: only addresses are understood. */
  resolve?(host: string): Promise<readonly string[]>
  /** Frees the socket and drops all streams. */
  close(): Promise<void>
}
