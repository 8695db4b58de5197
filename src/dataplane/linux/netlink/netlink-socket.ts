import { closeSync, readSync, write, writeSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { errnoOf, failure, isSystemError } from '../../../base/errors.ts'
import {
  type Message,
  MessageWriter,
  type Request,
  readAttributes,
  readMessages,
  readString,
} from './message.ts'
import { type NetlinkProtocol, errnoName, openNetlinkSocket, setSocketOption } from './syscall.ts'

/** From <linux/netlink.h>. */
const NLMSG_ERROR = 2
const NLMSG_DONE = 3
const NLM_F_REQUEST = 0x1
const NLM_F_ACK = 0x4
const NLM_F_DUMP_INTR = 0x10
const NLM_F_CAPPED = 0x100
const NLM_F_DUMP = 0x300
const NLM_F_ACK_TLVS = 0x200
const NLMSGERR_ATTR_MSG = 1
const SOL_NETLINK = 270
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
const NETLINK_GET_STRICT_CHK = 12
/** From <asm/socket.h>. */
const SOL_SOCKET = 1
const SO_RCVBUFFORCE = 33

/**
 * Receive buffer. A batch in which every message fails needs about 1 KB for each (measured: the
 * default of 208 KB overflows between 200 and 300 messages).
 */
const receiveBufferBytes = 4 * 1024 * 1024
/** Messages in one write: 48 to 72 KB, well below the 208 KB that a socket sends at once. */
export const maxBatch = 1000
/** The kernel never makes a larger datagram for a dump (SKB limit of netlink_dump). */
const maxDatagramBytes = 64 * 1024
/** Attempts of a dump that changes interrupt; the last one is taken as it is. */
const maxDumpAttempts = 4

/** Of a scan, before it yields to other work: about a thousand rows, 2 to 3 ms. */
const maxDatagramsPerTurn = 3

/** `write` in a thread of libuv's pool. */
const writeFromThread = promisify(write)

/** The messages around a transaction. */
interface Delimiters {
  readonly begin: Request
  readonly end: Request
}

interface DumpPart {
  readonly messages: Message[]
  interrupted: boolean
  isLast: boolean
}

/** The kernel's error for one message, with its extended acknowledgement if there was one. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError'
  /** As `EEXIST`. */
  readonly code: string

  constructor(errno: number, detail: string, what = '') {
    const prefix = what === '' ? '' : `${what}: `
    super(prefix + errnoName(errno) + (detail === '' ? '' : ` (${detail})`))
    this.code = errnoName(errno)
  }
}

/**
 * A netlink socket, of rtnetlink by default. It stays in the network namespace in which it was
 * opened. The kernel processes a request inside `write` and has queued the answers when that
 * returns, so everything here is synchronous; a write blocks while another process holds RTNL.
 */
export class NetlinkSocket {
  readonly #fd: number
  /** Of all sockets: requests are written at once, and what is read is copied at once. */
  static readonly #writer = new MessageWriter()
  static readonly #datagram = Buffer.alloc(maxDatagramBytes)
  #sequence = 0

  /** Opens a socket in the namespace that this thread is in. Tests use smaller buffers. */
  constructor(bufferBytes = receiveBufferBytes, protocol: NetlinkProtocol = 'route') {
    this.#fd = openNetlinkSocket(protocol)
    try {
      setSocketOption(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, bufferBytes)
      for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK])
        setSocketOption(this.#fd, SOL_NETLINK, option, 1)
    } catch (error) {
      this.close()
      throw error
    }
  }

  close(): void {
    closeSync(this.#fd)
  }

  /**
   * Sends the requests in order, a thousand at a time. One that fails does not stop the others.
   * Throws a KERNEL failure when answers were lost: then the outcome is not known.
   * @returns the errors, by the position of the request.
   */
  send(requests: readonly Request[]): Map<number, NetlinkError> {
    const errors = new Map<number, NetlinkError>()
    for (let first = 0; first < requests.length; first += maxBatch)
      this.#sendBatch(requests.slice(first, first + maxBatch), first, errors)
    return errors
  }

  /** Sends requests that depend on each other. Throws the first error. */
  sendAll(requests: readonly Request[]): void {
    const [error] = this.send(requests).values()
    if (error !== undefined) throw error
  }

  /**
   * Sends one request for which the kernel blocks its caller: another thread. The socket must not
   * be used for anything else until this settles. Throws the error of the request.
   */
  async sendFromThread(request: Request): Promise<void> {
    const last = this.#compose([request], NLM_F_ACK)
    await writeFromThread(this.#fd, Buffer.from(NetlinkSocket.#writer.bytes))
    const errors = new Map<number, NetlinkError>()
    this.#readErrors([request], 0, last, errors)
    const [error] = errors.values()
    if (error !== undefined) throw error
  }

  /**
   * Sends requests as one transaction, between the two messages that delimit it.
   * @returns the errors, by the position of the request; with one, nothing was done.
   */
  transact(begin: Request, requests: readonly Request[], end: Request): Map<number, NetlinkError> {
    const errors = new Map<number, NetlinkError>()
    this.#sendBatch(requests, 0, errors, { begin, end })
    return errors
  }

  /** Reads one object. Throws a NetlinkError, ENODEV or ENOENT when there is none. */
  get(request: Request): Message {
    const sequence = this.#write([request], 0)
    for (;;) {
      const answer = this.#read(sequence).find((message) => message.sequence === sequence)
      if (answer === undefined) continue
      const error = errorOf(answer, request.what)
      if (error !== null) throw error
      return answer
    }
  }

  /** Reads all objects of a kind. */
  dump(request: Request): Message[] {
    for (let attempt = 1; ; attempt++) {
      const { messages, interrupted } = this.#dumpOnce(request)
      if (!interrupted || attempt === maxDumpAttempts) return messages
    }
  }

  /**
   * As `dump`, for many objects: `take` gets them as they are read, and other work runs in between.
   * The socket must not be used for anything else until this settles.
   */
  async scan(request: Request, take: (message: Message) => void): Promise<void> {
    const sequence = this.#write([request], NLM_F_DUMP)
    for (let read = 1; ; read++) {
      const { messages, isLast } = this.#readPart(request, sequence)
      for (const message of messages) take(message)
      if (isLast) return
      if (read % maxDatagramsPerTurn === 0) await nextTurn()
    }
  }

  #sendBatch(
    requests: readonly Request[],
    first: number,
    errors: Map<number, NetlinkError>,
    delimiters?: Delimiters,
  ): void {
    const last = this.#write(requests, NLM_F_ACK, delimiters)
    this.#readErrors(requests, first, last, errors)
  }

  /** Reads the answers to a batch, up to that of the last request. */
  #readErrors(
    requests: readonly Request[],
    first: number,
    last: number,
    errors: Map<number, NetlinkError>,
  ): void {
    for (let done = false; !done;) {
      for (const message of this.#read(last)) {
        const position = requests.length - 1 - ((last - message.sequence) >>> 0)
        if (message.type !== NLMSG_ERROR || position < 0) continue
        const error = errorOf(message, requests[position]?.what)
        if (error !== null) errors.set(first + position, error)
        done ||= message.sequence === last
      }
    }
  }

  #dumpOnce(request: Request): { messages: Message[]; interrupted: boolean } {
    const sequence = this.#write([request], NLM_F_DUMP)
    const messages: Message[] = []
    let interrupted = false
    for (;;) {
      const part = this.#readPart(request, sequence)
      messages.push(...part.messages)
      interrupted ||= part.interrupted
      if (part.isLast) return { messages, interrupted }
    }
  }

  /** The objects in one datagram of a dump's answer. */
  #readPart(request: Request, sequence: number): DumpPart {
    const part: DumpPart = { messages: [], interrupted: false, isLast: false }
    for (const message of this.#read(sequence)) {
      if (message.sequence !== sequence) continue
      part.interrupted ||= (message.flags & NLM_F_DUMP_INTR) !== 0
      const error = errorOf(message, request.what)
      if (error !== null) throw error
      if (message.type === NLMSG_DONE || message.type === NLMSG_ERROR) part.isLast = true
      else part.messages.push(message)
    }
    return part
  }

  /** @returns the sequence number of the last request, the only one with `lastFlags`. */
  #write(requests: readonly Request[], lastFlags: number, delimiters?: Delimiters): number {
    const last = this.#compose(requests, lastFlags, delimiters)
    writeSync(this.#fd, NetlinkSocket.#writer.bytes)
    return last
  }

  #compose(requests: readonly Request[], lastFlags: number, delimiters?: Delimiters): number {
    NetlinkSocket.#writer.clear()
    if (delimiters !== undefined)
      NetlinkSocket.#writer.message(delimiters.begin, NLM_F_REQUEST, this.#sequence)
    for (const [i, request] of requests.entries()) {
      const flags = i === requests.length - 1 ? NLM_F_REQUEST | lastFlags : NLM_F_REQUEST
      this.#sequence = (this.#sequence + 1) >>> 0
      NetlinkSocket.#writer.message(request, flags, this.#sequence)
    }
    if (delimiters !== undefined)
      NetlinkSocket.#writer.message(delimiters.end, NLM_F_REQUEST, this.#sequence)
    return this.#sequence
  }

  /**
   * One datagram, copied because bodies outlive the next read. When it cannot be read, all that is
   * queued is discarded, or it would be taken for the answers to later requests.
   */
  #read(sequence: number): Message[] {
    try {
      const length = readSync(this.#fd, NetlinkSocket.#datagram)
      return readMessages(Buffer.from(NetlinkSocket.#datagram.subarray(0, length)))
    } catch (error) {
      if (!isSystemError(error)) throw error
      this.#drain()
      const lost = `netlink: answers to request ${sequence} were lost (${errnoOf(error)})`
      throw failure('KERNEL', lost, error)
    }
  }

  #drain(): void {
    for (;;) {
      try {
        readSync(this.#fd, NetlinkSocket.#datagram)
      } catch (error) {
        if (errnoOf(error) === 'EAGAIN') return
        if (errnoOf(error) !== 'ENOBUFS') throw error
      }
    }
  }
}

/** The error that a message reports; null for an acknowledgement and for anything else. */
function errorOf(message: Message, what: string | undefined): NetlinkError | null {
  if (message.type !== NLMSG_ERROR && message.type !== NLMSG_DONE) return null
  const errno = message.body.length >= 4 ? -message.body.readInt32LE(0) : 0
  if (errno === 0) return null
  return new NetlinkError(errno, extendedAck(message), what)
}

/** The extended acknowledgement: attributes after the error and the request's header. */
function extendedAck(message: Message): string {
  if (message.type !== NLMSG_ERROR || (message.flags & NLM_F_ACK_TLVS) === 0) return ''
  const echoed = (message.flags & NLM_F_CAPPED) !== 0 ? 16 : message.body.readUInt32LE(4)
  return readString(readAttributes(message.body.subarray(4 + echoed)).get(NLMSGERR_ATTR_MSG))
}
