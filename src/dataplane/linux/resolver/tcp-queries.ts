import { type Server, type Socket, createServer } from 'node:net'
import { isSystemError } from '../../../base/errors.ts'

/** Clients at a time in one sandbox. */
const maxClients = 64
/** A client that says nothing for that long is gone, ms. */
const maxSilenceMs = 15_000
/** A longer query is none. */
const maxQueryBytes = 4096
const lengthBytes = 2
const headerBytes = 12

/** What a client's queries are handed to. */
interface TcpQueriesParts {
  /** Null when the engine is to answer. */
  readonly answer: (query: Buffer) => Uint8Array | null
  /** A socket that connects to the engine's resolver. Throws when there is none to be had. */
  readonly connect: () => Socket
  readonly onError: (error: Error) => void
}

/**
 * DNS over TCP (RFC 7766): each message has its length before it. What is not ours goes through one
 * connection to the engine's resolver for each client, so that nobody's ids meet.
 */
export class TcpQueries {
  readonly #server: Server
  readonly #clients = new Set<Socket>()

  /** Takes over a listening socket of the sandbox. */
  constructor(fd: number, parts: TcpQueriesParts) {
    this.#server = createServer((client) => this.#serve(client, parts))
    this.#server.maxConnections = maxClients
    this.#server.on('error', parts.onError)
    this.#server.listen({ fd })
  }

  close(): void {
    this.#server.close()
    for (const client of this.#clients) client.destroy()
  }

  #serve(client: Socket, { answer, connect }: TcpQueriesParts): void {
    this.#clients.add(client)
    let engine: Socket | null = null
    const end = (): void => {
      this.#clients.delete(client)
      client.destroy()
      engine?.destroy()
    }
    const forward = (query: Buffer): void => {
      try {
        engine ??= linked(connect(), client)
        engine.write(framed(query))
      } catch (error) {
        if (!isSystemError(error)) throw error
        end()
      }
    }
    client.setTimeout(maxSilenceMs, end)
    client.on('error', end).on('close', end)
    client.on(
      'data',
      reader((query) => {
        const own = answer(query)
        if (own === null) forward(query)
        else client.write(framed(own))
      }, end),
    )
  }
}

/** What the engine says goes to the client, all of it before the end. */
function linked(engine: Socket, client: Socket): Socket {
  engine.on('data', (bytes) => void client.write(bytes))
  return engine.on('error', () => client.end()).on('close', () => client.end())
}

/** Cuts a stream into messages; calls `fail` once when it is none of DNS. */
function reader(take: (message: Buffer) => void, fail: () => void): (bytes: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (bytes) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    while (rest.length >= lengthBytes) {
      const length = rest.readUInt16BE(0)
      if (length < headerBytes || length > maxQueryBytes) return fail()
      if (rest.length < lengthBytes + length) return
      const message = rest.subarray(lengthBytes, lengthBytes + length)
      rest = rest.subarray(lengthBytes + length)
      take(message)
    }
  }
}

function framed(message: Uint8Array): Buffer {
  const length = Buffer.alloc(lengthBytes)
  length.writeUInt16BE(message.length)
  return Buffer.concat([length, message])
}
