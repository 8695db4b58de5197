import { createSecretKey } from 'node:crypto'
import { expect } from 'chai'
import { addChecksum } from '../../../src/wire/layers/checksum.ts'
import { encodeCompound } from '../../../src/wire/layers/compound.ts'
import { compress } from '../../../src/wire/layers/compress.ts'
import { encrypt } from '../../../src/wire/layers/crypt.ts'
import { addLabel } from '../../../src/wire/layers/label.ts'
import { encodeMessage, type Message } from '../../../src/wire/messages.ts'
import { openPacket } from '../../../src/wire/packet.ts'
import { fromHex, loadVectors, readable, toHex, type PacketVector } from '../../support/vectors.ts'

const vectors = loadVectors<PacketVector[]>('packets')

describe('packets that Go wrote', () => {
  for (const vector of vectors) {
    it(`${vector.name} decodes to what it says`, () => {
      const { messages, errors } = open(vector)
      expect(errors).to.deep.equal([])
      expect(messages.map(plain)).to.deep.equal(vector.messages)
    })

    it(`${vector.name} encodes back bit for bit`, () => {
      expect(toHex(rebuild(vector, open(vector).messages))).to.equal(vector.hex)
    })
  }
})

function open(vector: PacketVector): { messages: Message[]; errors: string[] } {
  const messages: Message[] = []
  const errors: string[] = []
  openPacket(
    fromHex(vector.hex),
    {
      label: Buffer.from(vector.label ?? ''),
      skipLabelCheck: false,
      keys: keysOf(vector),
      verify: true,
    },
    (message) => messages.push(message),
    (error) => errors.push(error.code),
  )
  return { messages, errors }
}

/** Applies the layers that the vector names, with the nonce that it has. */
function rebuild(vector: PacketVector, messages: readonly Message[]): Uint8Array {
  const label = Buffer.from(vector.label ?? '')
  let packet = vector.layers.includes('compound')
    ? encodeCompound(messages.map(encodeMessage))
    : encodeMessage(messages[0]!)
  if (vector.layers.includes('compress')) packet = compress(packet)
  if (vector.layers.includes('checksum')) packet = addChecksum(packet)
  const [key] = keysOf(vector)
  if (key !== undefined) {
    const blob = fromHex(vector.hex).subarray(label.length === 0 ? 0 : 2 + label.length)
    const version = vector.layers.includes('encrypt-v0') ? 0 : 1
    packet = encrypt(key, version, blob.subarray(1, 13), packet, label)
  }
  return addLabel(packet, label)
}

function keysOf({ key }: PacketVector) {
  return key === undefined ? [] : [createSecretKey(fromHex(key))]
}

function plain(message: Message): unknown {
  if (message.type === 'user') return { type: 'user', payload: toHex(message.body) }
  return { type: message.type, ...(readable(message.body) as object) }
}
