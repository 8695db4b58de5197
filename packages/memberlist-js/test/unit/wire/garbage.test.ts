import { createSecretKey } from 'node:crypto'
import { expect } from 'chai'
import fc from 'fast-check'
import { decodeMessage, decodeBody, MessageType } from '../../../src/wire/messages.ts'
import { openPacket } from '../../../src/wire/packet.ts'
import { openStream } from '../../../src/wire/stream-frame.ts'
import { readPushPull, readReliable } from '../../../src/wire/stream-messages.ts'
import { WireError } from '../../../src/wire/wire-error.ts'
import {
  chunksOf,
  fromHex,
  loadVectors,
  type PacketVector,
  type StreamVector,
} from '../../support/vectors.ts'

const packets = loadVectors<PacketVector[]>('packets').map(({ hex }) => fromHex(hex))
const streams = loadVectors<StreamVector[]>('streams').map(({ hex }) => fromHex(hex))

/** Real bytes with some flipped, cut off or repeated, or bytes from nowhere. */
function mutated(samples: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { maxLength: 6 })
  const damaged = fc
    .tuple(fc.constantFrom(...samples), flips, fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([sample, changes, keep]) => {
      const bytes = Uint8Array.from(sample.subarray(0, Math.ceil(sample.length * keep)))
      for (const [at, mask] of changes) if (bytes.length > 0) bytes[at % bytes.length]! ^= mask
      return bytes
    })
  return fc.oneof(damaged, fc.uint8Array({ maxLength: 300 }))
}

const label = Buffer.from('ovl0')
const key = createSecretKey(new Uint8Array(16))

describe('garbage', () => {
  it('in a message raises a WireError or nothing', () => {
    fc.assert(
      fc.property(mutated(packets), (bytes) => {
        try {
          decodeMessage(bytes)
        } catch (error) {
          expect(error).to.be.instanceOf(WireError)
        }
      }),
      { numRuns: 5000 },
    )
  })

  it('in a packet never throws, with or without key and label', () => {
    fc.assert(
      fc.property(mutated(packets), fc.boolean(), fc.boolean(), (bytes, keyed, labelled) => {
        const options = {
          label: labelled ? label : new Uint8Array(),
          skipLabelCheck: false,
          keys: keyed ? [key] : [],
          verify: true,
        }
        openPacket(
          bytes,
          options,
          () => undefined,
          () => undefined,
        )
      }),
      { numRuns: 5000 },
    )
  })

  it('in a stream raises a WireError or nothing', async () => {
    await fc.assert(
      fc.asyncProperty(mutated(streams), fc.boolean(), async (bytes, keyed) => {
        const failure = await consume(bytes, keyed).catch((error: unknown) => error)
        if (failure !== undefined) expect(failure).to.be.instanceOf(WireError)
      }),
      { numRuns: 3000 },
    )
  })
})

async function consume(bytes: Uint8Array, keyed: boolean): Promise<undefined> {
  const { type, reader } = await openStream(chunksOf(bytes), {
    label: new Uint8Array(),
    dialler: false,
    skipLabelCheck: false,
    keys: keyed ? [key] : [],
    verify: true,
  })
  if (type === MessageType.pushPull) await readPushPull(reader)
  else if (type === MessageType.user) await readReliable(reader)
  else await reader.record((record) => decodeBody(type, record))
  return undefined
}
