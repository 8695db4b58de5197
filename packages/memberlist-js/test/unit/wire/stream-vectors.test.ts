import { createSecretKey } from 'node:crypto'
import { expect } from 'chai'
import { compress } from '../../../src/wire/layers/compress.ts'
import { sealStream, openStream } from '../../../src/wire/stream-frame.ts'
import { decodeBody, encodeMessage, MessageType } from '../../../src/wire/messages.ts'
import {
  encodePushPull,
  encodeReliable,
  readPushPull,
  readReliable,
  type PushPull,
} from '../../../src/wire/stream-messages.ts'
import {
  chunksOf,
  fromHex,
  loadVectors,
  readable,
  type StreamVector,
  toHex,
} from '../../support/vectors.ts'

const vectors = loadVectors<StreamVector[]>('streams')

/**
 * go-msgpack 0.5 writes lengths above 127 as unsigned integers, version 2 as signed ones, as we do.
 * The difference is inside the compressed data, so these are compared by value.
 */
const OTHER_INTEGERS = new Set([
  'tcp-pushpull-join-request-compressed',
  'tcp-pushpull-join-response-compressed',
  'tcp-enc-v1-aes256-pushpull-request',
])

describe('streams that Go wrote', () => {
  for (const vector of vectors) {
    it(`${vector.name} decodes to what it says, in one piece`, async () => {
      const { value } = await read(vector, [fromHex(vector.hex)])
      expect(readable(value)).to.deep.equal(vector.message)
    })

    it(`${vector.name} decodes to what it says, byte by byte`, async () => {
      const bytes = Array.from(fromHex(vector.hex), (byte) => Uint8Array.of(byte))
      const { value } = await read(vector, bytes)
      expect(readable(value)).to.deep.equal(vector.message)
    })

    it(`${vector.name} encodes back ${OTHER_INTEGERS.has(vector.name) ? 'to an equal value' : 'bit for bit'}`, async () => {
      const { message } = await read(vector, [fromHex(vector.hex)])
      const rebuilt = rebuild(vector, message)
      if (!OTHER_INTEGERS.has(vector.name)) expect(toHex(rebuilt)).to.equal(vector.hex)
      const { value } = await read(vector, [rebuilt])
      expect(readable(value)).to.deep.equal(vector.message)
    })
  }

  it('a stream that ends early is refused as truncated, wherever it ends', async () => {
    for (const vector of vectors) {
      const whole = fromHex(vector.hex)
      const userData = vector.message['type'] === 'user' ? 0 : 1
      for (let length = 0; length < whole.length - userData; length += 7) {
        const error = await read(vector, [whole.subarray(0, length)]).then(
          () => undefined,
          (reason: { code?: string }) => reason.code,
        )
        expect(error, `${vector.name} cut at ${length}`).to.equal('truncated')
      }
    }
  })
})

/** The decoded message as the vectors describe it, and its encoding without wrappers. */
async function read(
  vector: StreamVector,
  chunks: readonly Uint8Array[],
): Promise<{ value: unknown; message: Uint8Array }> {
  const { type, reader } = await openStream(chunksOf(...chunks), {
    label: Buffer.from(vector.label ?? ''),
    // Who reads a dialler's stream is the acceptor, and the other way round.
    dialler: vector.side === 'acceptor',
    skipLabelCheck: false,
    keys: keysOf(vector),
    verify: true,
  })
  if (type === MessageType.pushPull) {
    const state: PushPull = await readPushPull(reader)
    return { value: { type: 'pushPull', ...state }, message: encodePushPull(state) }
  }
  if (type === MessageType.user) {
    const payload = await readReliable(reader)
    return { value: { type: 'user', payload }, message: encodeReliable(payload) }
  }
  const message = await reader.record((record) => decodeBody(type, record))
  return {
    value: { type: message.type, ...(readable(message.body) as object) },
    message: encodeMessage(message),
  }
}

/**
 * Go compresses streams even when that makes them longer, so that layer is applied by hand here.
 */
function rebuild(vector: StreamVector, message: Uint8Array): Uint8Array {
  const label = Buffer.from(vector.label ?? '')
  const body = vector.layers.includes('compress') ? compress(message) : message
  const [key] = keysOf(vector)
  const header = vector.side === 'dialler' && label.length > 0 ? 2 + label.length : 0
  const nonce = fromHex(vector.hex).subarray(header + 6, header + 18)
  const version = vector.layers.includes('encrypt-v0') ? 0 : 1
  return sealStream(body, {
    label,
    dialler: vector.side === 'dialler',
    compress: false,
    ...(key && { encryption: { key, version, nonce } }),
  })
}

function keysOf({ key }: StreamVector) {
  return key === undefined ? [] : [createSecretKey(fromHex(key))]
}
