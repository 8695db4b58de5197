/** TLS 1.3 (RFC 8446) over any {@link Stream}, by node:tls. */
import { X509Certificate, constants } from 'node:crypto'
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { type SecureContext, TLSSocket, connect, createSecureContext } from 'node:tls'
import { failure } from '../../base/errors.ts'
import { type KeyPair, pemOfKey } from '../certificates/keys.ts'
import type { Stream } from './transport.ts'

/**
 * What a side brings to its handshakes; without a key it shows no certificate. No session is
 * resumed: each handshake shows certificates, so that who was evicted meanwhile is refused.
 */
export function tlsContext(own?: { readonly key: KeyPair; readonly pem: string }): SecureContext {
  return createSecureContext({
    minVersion: 'TLSv1.3',
    secureOptions: constants.SSL_OP_NO_TICKET,
    ...(own && { key: pemOfKey(own.key), cert: own.pem }),
  })
}

interface TlsOptions {
  readonly context: SecureContext
  /** Application protocols (RFC 7301): what a client asks for, what a server has. */
  readonly protocols: readonly string[]
  /**
   * What is taken of the other side before {@link TlsStream.admit}, in bytes as they are on the
   * wire.
   */
  readonly maxBytes: number
}

/**
 * The client's side. Resolves when the handshake is done; nothing is checked of the certificate
 * yet.
 */
export async function tlsClient(raw: Stream, options: TlsOptions): Promise<TlsStream> {
  const duplex = new StreamDuplex(raw, options.maxBytes)
  const socket = connect({
    socket: duplex,
    secureContext: options.context,
    ALPNProtocols: [...options.protocols],
    // The certificate is held against the cluster's own rules, on both sides the same: certificate-
    // rules.ts.
    rejectUnauthorized: false,
  })
  return await shaken(new TlsStream(socket, duplex), socket, 'secureConnect', duplex)
}

/** The server's side, likewise. */
export async function tlsServer(raw: Stream, options: TlsOptions): Promise<TlsStream> {
  const duplex = new StreamDuplex(raw, options.maxBytes)
  const socket = new TLSSocket(duplex, {
    isServer: true,
    secureContext: options.context,
    ALPNProtocols: [...options.protocols],
    requestCert: true,
    rejectUnauthorized: false,
  })
  return await shaken(new TlsStream(socket, duplex), socket, 'secure', duplex)
}

async function shaken(
  stream: TlsStream,
  socket: TLSSocket,
  done: string,
  raw: Duplex,
): Promise<TlsStream> {
  const broken = new AbortController()
  socket.once('close', () => broken.abort())
  try {
    await once(socket, done, { signal: broken.signal })
    return stream
  } catch (error) {
    const cause: (Error & { reason?: string }) | null = socket.errored ?? raw.errored
    // OpenSSL's messages have its source's lines; this is what it calls the reason.
    const reason = cause?.reason ?? cause?.message ?? 'it closed the connection'
    stream.destroy()
    throw failure('SOCKET', `no TLS with the other side: ${reason}`, cause ?? error)
  }
}

/** A stream over TLS, and what TLS knows of the other side. */
export class TlsStream implements Stream {
  readonly #socket: TLSSocket
  readonly #raw: StreamDuplex
  #wake: () => void = () => undefined

  constructor(socket: TLSSocket, raw: StreamDuplex) {
    this.#socket = socket
    this.#raw = raw
    const wake = (): void => this.#wake()
    socket.on('readable', wake).on('end', wake).on('close', wake)
    socket.on('error', () => undefined)
  }

  /** The certificate whose key the other side has proved to have; null when it showed none. */
  get peer(): X509Certificate | null {
    // Not getPeerX509Certificate: Node 24 gives the certificate once, then undefined.
    const { raw } = this.#socket.getPeerCertificate() as { raw?: Buffer }
    return raw === undefined ? null : new X509Certificate(raw)
  }

  get protocol(): string | null {
    const protocol = this.#socket.alpnProtocol
    return typeof protocol === 'string' ? protocol : null
  }

  /**
   * A value of this connection that no other has: the `tls-exporter` binding of RFC 9266, 32 bytes.
   */
  get binding(): Buffer {
    return this.#socket.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0))
  }

  /** The other side is who it should be: from now on it may send what it likes. */
  admit(): void {
    this.#raw.takeAll()
  }

  async write(bytes: Uint8Array): Promise<void> {
    const socket = this.#socket
    if (socket.destroyed) throw brokenBy(socket)
    await new Promise<void>((resolve, reject) => {
      const closed = (): void => reject(brokenBy(socket))
      socket.once('close', closed)
      socket.write(bytes, (error) => {
        socket.off('close', closed)
        if (error == null) resolve()
        else reject(brokenBy(socket))
      })
    })
  }

  close(): void {
    this.#socket.end()
    this.#socket.removeAllListeners('readable')
    this.#socket.resume()
  }

  destroy(reason?: Error): void {
    this.#socket.destroy(reason)
    this.#raw.destroy()
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    const socket = this.#socket
    for (;;) {
      const chunk = socket.read() as Buffer | null
      if (chunk !== null) yield chunk
      else if (socket.readableEnded) return
      else if (socket.destroyed) throw brokenBy(socket)
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}

function brokenBy(socket: TLSSocket): Error {
  return failure('SOCKET', socket.errored?.message ?? 'the connection was closed', socket.errored)
}

/** A {@link Stream} as node:tls wants it, which reads no more than some bytes until told to. */
class StreamDuplex extends Duplex {
  readonly #stream: Stream
  readonly #source: AsyncIterator<Uint8Array>
  #bytesLeft: number
  /** What came beyond them. */
  #waiting: Uint8Array | null = null

  constructor(stream: Stream, maxBytes: number) {
    super()
    this.#stream = stream
    this.#source = stream[Symbol.asyncIterator]()
    this.#bytesLeft = maxBytes
    this.on('error', () => undefined)
  }

  takeAll(): void {
    this.#bytesLeft = Number.POSITIVE_INFINITY
    const waiting = this.#waiting
    this.#waiting = null
    if (waiting !== null) this.push(waiting)
  }

  override _read(): void {
    if (this.#waiting !== null) return
    this.#source.next().then(
      ({ done, value }) => (done === true ? this.push(null) : this.#arrived(value)),
      (error: Error) => this.destroy(error),
    )
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error) => void): void {
    this.#stream.write(chunk).then(() => done(), done)
  }

  override _final(done: () => void): void {
    this.#stream.close()
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stream.destroy(error ?? undefined)
    done(error)
  }

  #arrived(chunk: Uint8Array): void {
    const taken = chunk.subarray(0, this.#bytesLeft)
    this.#bytesLeft -= taken.length
    if (taken.length < chunk.length) this.#waiting = chunk.subarray(taken.length)
    if (taken.length > 0) this.push(taken)
  }
}
