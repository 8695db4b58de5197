import { closeSync, openSync } from 'node:fs'
import type { Socket as DatagramSocket, RemoteInfo } from 'node:dgram'
import { Socket } from 'node:net'
import type { Clock } from '../../../base/clock.ts'
import { isBug, isSystemError } from '../../../base/errors.ts'
import { NetlinkSocket } from '../netlink/netlink-socket.ts'
import {
  bindAnyPort,
  listenOn,
  openInetSocket,
  setSocketOption,
  startConnecting,
} from '../netlink/syscall.ts'
import { inNetns } from '../netns/netns.ts'
import type { AnswerQuery } from '../../resolvers.ts'
import { Forwarder, datagramSocket, failed } from './forwarder.ts'
import { Steering, dnsPort, forwardMark, removeStaleSteering, resolverAddress } from './steering.ts'
import { TcpQueries } from './tcp-queries.ts'

/** From <asm/socket.h> and <linux/in.h>. */
const SOL_SOCKET = 1
const SO_MARK = 36
const SOL_IP = 0
const IP_FREEBIND = 15
const backlog = 64
/** Answers to our own few requests: no need for the large buffer of the rows. */
const netlinkBufferBytes = 64 * 1024
/**
 * After a table was removed, the kernel frees it within a grace period; to close the socket before
 * that blocks this thread until then.
 */
const settleMs = 1000
const headerBytes = 12
const maxQueryBytes = 4096

interface SandboxResolverOptions {
  /** What the queries are answered by. */
  readonly sandbox: string
  readonly answer: AnswerQuery
  readonly clock: Clock
  /** Of this process alone, for the name of the table. */
  readonly processName: string
  /** Whether the table goes with this process. */
  readonly isOwned: boolean
  /** A socket failed: the resolver is of no use any more. */
  readonly onError: (error: Error) => void
}

/**
 * The resolver of one sandbox: two sockets in its namespace on the address of the engine's
 * resolver, at ports of the kernel's choice, and the table that steers port 53 to them.
 */
export class SandboxResolver {
  readonly #options: SandboxResolverOptions
  /** The namespace, which lives as long as our sockets anyway. */
  readonly #netns: number
  readonly #steering: Steering
  readonly #udp: DatagramSocket
  readonly #opened: DisposableStack
  #forwarder: Forwarder | null = null
  #isClosed = false

  /** Opens a resolver in the namespace with that file, all of it or nothing. */
  constructor(path: string, options: SandboxResolverOptions) {
    const { processName, isOwned, onError } = options
    this.#options = options
    using opened = new DisposableStack()
    this.#netns = openSync(path, 'r')
    opened.defer(() => closeSync(this.#netns))
    const netfilter = inNetns(this.#netns, () => new NetlinkSocket(netlinkBufferBytes, 'netfilter'))
    opened.defer(() => options.clock.setTimeout(() => netfilter.close(), settleMs))
    removeStaleSteering(netfilter, processName)
    const [udp, tcp] = [this.#bound('udp'), this.#bound('tcp')]
    this.#udp = opened.adopt(this.#serveUdp(udp.fd), (socket) => socket.close())
    const answer = (query: Buffer): Uint8Array | null => this.#answer('tcp', query)
    const tcpParts = { answer, connect: () => this.#connect(), onError }
    const queries = opened.adopt(new TcpQueries(tcp.fd, tcpParts), (server) => server.close())
    void queries
    const ports = { udp: udp.port, tcp: tcp.port }
    this.#steering = new Steering(netfilter, { name: processName, ports, isOwned })
    opened.defer(() => this.#removeSteering())
    this.#steering.ensure()
    this.#opened = opened.move()
  }

  /** Repairs the table when others changed it. @returns what was repaired. */
  ensure(): string[] {
    return this.#steering.ensure()
  }

  /** Lets the steering live on. */
  renew(): void {
    this.#steering.renew()
  }

  /** Asks the engine's resolver; the answer may say that it failed. */
  ask(query: Buffer): Promise<Buffer> {
    return new Promise((resolve) => this.#forward(query, resolve))
  }

  /** The engine answers from the next query on. */
  close(): void {
    this.#isClosed = true
    this.#forwarder?.close()
    this.#opened.dispose()
  }

  #serveUdp(fd: number): DatagramSocket {
    const socket = datagramSocket()
    socket.on('error', this.#options.onError)
    socket.on('message', (query, from) => this.#onDatagram(query, from))
    socket.bind({ fd, exclusive: true })
    return socket
  }

  #onDatagram(query: Buffer, { port, address }: RemoteInfo): void {
    if (query.length < headerBytes || query.length > maxQueryBytes) return
    // A client that is gone is no error of ours.
    const reply = (answer: Uint8Array): void => {
      if (!this.#isClosed) this.#udp.send(answer, port, address, () => {})
    }
    const own = this.#answer('udp', query)
    if (own === null) this.#forward(query, reply)
    else reply(own)
  }

  #answer(transport: 'udp' | 'tcp', query: Buffer): Uint8Array | null {
    const { answer, sandbox } = this.#options
    return answer({ sandbox, transport }, query)
  }

  #forward(query: Buffer, reply: (answer: Buffer) => void): void {
    try {
      if (this.#forwarder === null || this.#forwarder.isSpent)
        this.#forwarder = new Forwarder(this.#marked('udp'), this.#options.clock)
    } catch (error) {
      if (!isSystemError(error)) throw error
      return reply(failed(query))
    }
    this.#forwarder.send(query, reply)
  }

  /** A connection to the engine's resolver. */
  #connect(): Socket {
    const fd = this.#marked('tcp')
    try {
      inNetns(this.#netns, () => startConnecting(fd, resolverAddress, dnsPort))
      return new Socket({ fd })
    } catch (error) {
      closeSync(fd)
      throw error
    }
  }

  /** A socket whose packets reach the engine. */
  #marked(transport: 'udp' | 'tcp'): number {
    return this.#socket(transport, (fd) => {
      setSocketOption(fd, SOL_SOCKET, SO_MARK, forwardMark)
      return fd
    })
  }

  /** A socket at the resolver's address, which need not be up yet. */
  #bound(transport: 'udp' | 'tcp'): { fd: number; port: number } {
    return this.#socket(transport, (fd) => {
      setSocketOption(fd, SOL_IP, IP_FREEBIND, 1)
      const port = bindAnyPort(fd, resolverAddress)
      if (transport === 'tcp') listenOn(fd, backlog)
      return { fd, port }
    })
  }

  #socket<T>(transport: 'udp' | 'tcp', prepare: (fd: number) => T): T {
    return inNetns(this.#netns, () => {
      const fd = openInetSocket(transport)
      try {
        return prepare(fd)
      } catch (error) {
        closeSync(fd)
        throw error
      }
    })
  }

  #removeSteering(): void {
    try {
      this.#steering.remove()
    } catch (error) {
      // Then it is void by itself in two seconds.
      if (isBug(error)) throw error
    }
  }
}
