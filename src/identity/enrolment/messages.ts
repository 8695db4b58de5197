/**
 * What a newcomer and a member say over TLS. Each message is a length in 4 bytes and JSON:
 *
 *     member → newcomer   Introduction: the authority
 *     newcomer → member   Question: a request, signed, with a proof of the token or none
 *     member → newcomer   Answer: a grant and a proof, a refusal, or where voters are
 *
 * A member that wants a new certificate, or the present keys after it was away, asks in the same
 * way without a token. What is signed and proved are bytes, so requests and grants are texts within
 * the messages. Only voters grant; other members answer where these are.
 */
import * as v from 'valibot'
import { failure } from '../../base/errors.ts'
import { maxCertificateCharacters } from '../certificates/certificate.ts'
import type { Stream } from '../streams/transport.ts'

/** Of a request; it has no more than a name, an address and a key. */
export const maxRequestBytes = 8 * 1024
/**
 * Of an answer: certificates, keys, voters, and those that were evicted in the validity of a
 * certificate.
 */
export const maxAnswerBytes = 1024 * 1024

const base64 = v.pipe(v.string(), v.maxLength(512), v.base64())
const pem = v.pipe(v.string(), v.maxLength(maxCertificateCharacters))
const text = (most: number) => v.pipe(v.string(), v.maxLength(most))
const list = <T extends v.GenericSchema>(item: T, most: number) =>
  v.pipe(v.array(item), v.maxLength(most))

export const introduction = v.strictObject({ authority: pem })

export const request = v.strictObject({
  name: v.pipe(v.string(), v.regex(/^[a-z0-9][\w.-]{0,62}$/i)),
  address: v.pipe(v.string(), v.ip()),
  /** The key that the certificate is to be for, as {@link encodePublicKey} has it. */
  publicKey: base64,
  /** Names the token; null for a member that has a certificate. */
  tokenId: v.nullable(text(16)),
  /** The newcomer's clock, in milliseconds since the Unix epoch. */
  wall: v.number(),
})
export type Request = v.InferOutput<typeof request>

export const question = v.strictObject({
  request: text(maxRequestBytes),
  /** By the key of the request, over the channel's binding and the request. */
  signature: base64,
  proof: v.nullable(base64),
})
export type Question = v.InferOutput<typeof question>

export const grant = v.strictObject({
  certificate: pem,
  authority: pem,
  currentEpoch: v.pipe(v.number(), v.safeInteger()),
  keys: list(v.strictObject({ epoch: v.number(), key: base64 }), 3),
  /** Where voters listen, as `host:port`. */
  voters: list(text(64), 16),
  /** Identities that were evicted while their certificates would still be valid. */
  evicted: list(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)), 8192),
  wall: v.number(),
})
export type Grant = v.InferOutput<typeof grant>

/** `clash`: a host that seems alive has the name or address, and may be found dead soon. */
const why = v.picklist(['evicted', 'clash', 'other'])

export const answer = v.union([
  v.strictObject({ grant: text(maxAnswerBytes), proof: v.nullable(base64) }),
  v.strictObject({ refusal: text(512), why }),
  v.strictObject({ voters: list(text(64), 16) }),
])
export type Answer = v.InferOutput<typeof answer>

/** Reads JSON of that shape; null for anything else. */
export function decode<T extends v.GenericSchema>(
  schema: T,
  json: string,
): v.InferOutput<T> | null {
  try {
    const parsed = v.safeParse(schema, JSON.parse(json))
    return parsed.success ? parsed.output : null
  } catch {
    return null
  }
}

const lengthBytes = 4

export async function writeMessage(stream: Stream, message: unknown): Promise<void> {
  const body = Buffer.from(JSON.stringify(message))
  const length = Buffer.alloc(lengthBytes)
  length.writeUInt32BE(body.length)
  await stream.write(Buffer.concat([length, body]))
}

/**
 * Reads messages one after another; each is refused before it is read when it says that it is too
 * long.
 */
export class MessageReader {
  readonly #source: AsyncIterator<Uint8Array>
  #buffer: Buffer = Buffer.alloc(0)

  constructor(stream: Stream) {
    this.#source = stream[Symbol.asyncIterator]()
  }

  async read<T extends v.GenericSchema>(schema: T, maxBytes: number): Promise<v.InferOutput<T>> {
    const length = (await this.#take(lengthBytes)).readUInt32BE()
    if (length > maxBytes) throw failure('BAD_REQUEST', `a message of ${length} bytes is too long`)
    const message = decode(schema, (await this.#take(length)).toString())
    if (message === null) throw failure('BAD_REQUEST', 'a message of the enrolment is malformed')
    return message
  }

  async #take(bytes: number): Promise<Buffer> {
    const chunks = [this.#buffer]
    let have = this.#buffer.length
    while (have < bytes) {
      const next = await this.#source.next()
      if (next.done === true) throw failure('SOCKET', 'the other side closed the connection')
      chunks.push(Buffer.from(next.value))
      have += next.value.length
    }
    const all = Buffer.concat(chunks)
    this.#buffer = all.subarray(bytes)
    return all.subarray(0, bytes)
  }
}
