import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { lookup } from 'node:dns/promises'
import { createServer, connect, isIP, isIPv6, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Clock } from '../ports/clock.ts'
import { unmapped, type SocketAddress } from '../socket-address.ts'
import { MemberlistError } from '../errors.ts'
import { systemClock } from '../ports/system-clock.ts'
import { HalfClosedSockets } from './half-closed-sockets.ts'
import { SocketStream } from './socket-stream.ts'
import type { Stream, Transport } from './transport.ts'

/** memberlist's port. */
const DEFAULT_PORT = 7946

/**
 * Bursts of packets wait here while we are busy; Go asks for as much. The kernel may grant less.
 */
const RECEIVE_BUFFER_BYTES = 2 << 20

/** Attempts to find a port that is free for UDP and TCP alike, when any port will do. */
const PORT_ATTEMPTS = 10

/** Where a {@link SocketTransport} listens. */
export interface SocketTransportOptions {
  /** The local address; `0.0.0.0` unless given, `::` for both families. */
  readonly bindAddress?: string
  /** For UDP and TCP; 7946 unless given, 0 for any that is free. */
  readonly port?: number
  /**
   * What the others are told; the bound address and port, or the first address of the machine,
   * unless given.
   */
  readonly advertise?: Partial<SocketAddress>
  /** For the time stamps of packets; the machine's unless given. */
  readonly clock?: Clock
}

type PacketReceiver = Parameters<Transport['onPacket']>[0]
type StreamReceiver = Parameters<Transport['onStream']>[0]

/** UDP for packets and TCP for streams, on one port. */
export class SocketTransport implements Transport {
  readonly advertise: SocketAddress
  readonly #udp: UdpSocket
  readonly #tcp: Server
  readonly #clock: Clock
  readonly #mapped: boolean
  readonly #streams = new Set<Socket>()
  readonly #halfClosed: HalfClosedSockets
  #receivePacket: PacketReceiver | undefined
  #receiveStream: StreamReceiver | undefined
  #closed = false

  /** Opens both sockets. Rejects with the system's error, such as EADDRINUSE. */
  static async bind(options: SocketTransportOptions = {}): Promise<SocketTransport> {
    const { bindAddress = '0.0.0.0', port = DEFAULT_PORT, clock = systemClock } = options
    for (let attempt = 1; ; attempt++) {
      const tcp = await listen(bindAddress, port)
      const bound = (tcp.address() as { port: number }).port
      try {
        const udp = await bindUdp(bindAddress, bound)
        const advertise = {
          address: options.advertise?.address ?? defaultAddress(bindAddress),
          port: options.advertise?.port ?? bound,
        }
        return new SocketTransport(udp, tcp, advertise, clock, isIPv6(bindAddress))
      } catch (error) {
        tcp.close()
        if (port !== 0 || attempt === PORT_ATTEMPTS) throw error
      }
    }
  }

  private constructor(
    udp: UdpSocket,
    tcp: Server,
    advertise: SocketAddress,
    clock: Clock,
    mapped: boolean,
  ) {
    this.advertise = advertise
    this.#udp = udp
    this.#tcp = tcp
    this.#clock = clock
    this.#halfClosed = new HalfClosedSockets(clock)
    this.#mapped = mapped
    udp.on('message', (packet, from) => {
      const source = { address: unmapped(from.address), port: from.port }
      this.#receivePacket?.(packet, source, this.#clock.now())
    })
    // Errors of single packets (unreachable hosts) are of no interest: probes find out by silence.
    udp.on('error', () => undefined)
    tcp.on('connection', (socket) => this.#accept(socket))
    tcp.on('error', () => undefined)
  }

  send(packet: Uint8Array, to: SocketAddress): void {
    if (this.#closed) return
    this.#udp.send(packet, to.port, this.#dialable(to.address), ignoreError)
  }

  onPacket(receive: PacketReceiver): void {
    this.#receivePacket = receive
  }

  async dial(to: SocketAddress, { signal }: { readonly signal: AbortSignal }): Promise<Stream> {
    signal.throwIfAborted()
    if (this.#closed) throw new MemberlistError('not-running', 'the transport is closed')
    const socket = connect({ host: unmapped(to.address), port: to.port, noDelay: true })
    this.#track(socket)
    try {
      await once(socket, 'connect', { signal })
    } catch (error) {
      socket.destroy()
      throw signal.aborted ? (signal.reason as Error) : error
    }
    return new SocketStream(socket, this.#halfClosed)
  }

  onStream(receive: StreamReceiver): void {
    this.#receiveStream = receive
  }

  async resolve(host: string): Promise<readonly string[]> {
    if (isIP(host) !== 0) return [host]
    const found = await lookup(host, { all: true })
    const usable = this.#mapped ? found : found.filter(({ family }) => family === 4)
    if (usable.length === 0) {
      const remedy = 'name another seed, or bind to an IPv6 address'
      throw new MemberlistError('invalid-address', `${host} has no IPv4 address: ${remedy}`)
    }
    return usable.map(({ address }) => address)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const socket of this.#streams) socket.destroy()
    const closed = [once(this.#udp, 'close'), once(this.#tcp, 'close')]
    this.#udp.close()
    this.#tcp.close()
    await Promise.all(closed)
  }

  #accept(socket: Socket): void {
    if (this.#receiveStream === undefined || this.#closed) {
      socket.destroy()
      return
    }
    this.#track(socket)
    const from = { address: unmapped(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 }
    this.#receiveStream(new SocketStream(socket, this.#halfClosed), from)
  }

  #track(socket: Socket): void {
    this.#streams.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => this.#streams.delete(socket))
  }

  /** An IPv6 socket reaches IPv4 peers by their mapped address. */
  #dialable(address: string): string {
    if (!this.#mapped) return unmapped(address)
    return isIPv6(address) ? address : `::ffff:${address}`
  }
}

async function listen(host: string, port: number): Promise<Server> {
  const server = createServer({ noDelay: true, allowHalfOpen: true })
  const listening = once(server, 'listening')
  server.listen({ host, port })
  await listening
  return server
}

async function bindUdp(address: string, port: number): Promise<UdpSocket> {
  const socket = createSocket({
    type: isIPv6(address) ? 'udp6' : 'udp4',
    // Addresses are never names here, so there is nothing to look up.
    lookup: (host, _options, callback) => callback(null, host, isIP(host)),
  })
  const listening = once(socket, 'listening')
  socket.bind({ address, port, exclusive: true })
  await listening
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES)
  } catch {
    // The kernel's default will do.
  }
  return socket
}

function defaultAddress(bindAddress: string): string {
  if (bindAddress !== '0.0.0.0' && bindAddress !== '::') return bindAddress
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  const outer = all.find(({ internal, family }) => !internal && family === 'IPv4')
  return outer?.address ?? '127.0.0.1'
}

function ignoreError(): void {
  // Best effort: a packet that cannot be sent is a lost packet.
}
