import { createSecretKey } from 'node:crypto'
import { expect } from 'chai'
import { addChecksum } from '../../../../src/wire/layers/checksum.ts'
import { encodeCompound } from '../../../../src/wire/layers/compound.ts'
import { compress } from '../../../../src/wire/layers/compress.ts'
import { encrypt, encryptedLength } from '../../../../src/wire/layers/crypt.ts'
import { addLabel } from '../../../../src/wire/layers/label.ts'
import { encodeMessage, type Message } from '../../../../src/wire/messages.ts'
import { openPacket, type OpenOptions } from '../../../../src/wire/packet.ts'
import { fromHex } from '../../../support/vectors.ts'

const clear: OpenOptions = {
  label: new Uint8Array(),
  skipLabelCheck: false,
  keys: [],
  verify: true,
}
const nack = (seqNo: number): Message => ({ type: 'nack', body: { seqNo } })
const bytes = (seqNo: number) => encodeMessage(nack(seqNo))
const label = Buffer.from('blue')
const key = createSecretKey(new Uint8Array(16).fill(7))
const nonce = new Uint8Array(12)

/** Sequence numbers that came through, and the reasons for what did not. */
function open(packet: Uint8Array, options: Partial<OpenOptions> = {}): (number | string)[] {
  const seen: (number | string)[] = []
  openPacket(
    packet,
    { ...clear, ...options },
    (message) => seen.push(message.type === 'nack' ? message.body.seqNo : message.type),
    (error) => seen.push(error.code),
  )
  return seen
}

describe('packet wrappers', () => {
  it('compound and compression may nest either way', () => {
    expect(open(compress(encodeCompound([bytes(1), bytes(2)])))).to.deep.equal([1, 2])
    expect(open(encodeCompound([compress(bytes(1)), bytes(2)]))).to.deep.equal([1, 2])
  })

  it('a bad part of a compound does not harm the others', () => {
    const packet = encodeCompound([bytes(1), Uint8Array.of(99), Uint8Array.of(11, 0xff), bytes(2)])
    expect(open(packet)).to.deep.equal([1, 'unknown-type', 'malformed', 2])
  })

  it('a compound that is cut keeps its whole parts', () => {
    const packet = encodeCompound([bytes(1), bytes(2)])
    expect(open(packet.subarray(0, -1))).to.deep.equal([1, 'truncated'])
    expect(open(packet.subarray(0, 5))).to.deep.equal(['truncated'])
  })

  it('the packet that crashes memberlist before 0.2.4 is dropped', () => {
    expect(open(fromHex('07010000'))).to.deep.equal(['truncated'])
    expect(open(fromHex(''))).to.deep.equal(['truncated'])
    expect(() => encodeCompound([new Uint8Array()])).to.throw(RangeError)
  })

  it('a wrong checksum drops the packet; it counts only outermost', () => {
    const packet = addChecksum(bytes(1))
    expect(open(packet)).to.deep.equal([1])
    packet[7]! ^= 1
    expect(open(packet)).to.deep.equal(['bad-crc'])
    expect(open(encodeCompound([addChecksum(bytes(1)), bytes(2)]))).to.deep.equal([
      'unknown-type',
      2,
    ])
  })

  it('wrappers nest four deep at most', () => {
    const nested = (depth: number): Uint8Array =>
      depth === 0 ? bytes(1) : encodeCompound([nested(depth - 1)])
    expect(open(nested(4))).to.deep.equal([1])
    expect(open(nested(5))).to.deep.equal(['too-deep'])
  })

  it('all that a packet expands to counts together', () => {
    // Not so regular that the ratio alone refuses it.
    const noise = Uint8Array.from({ length: 3000 }, (_, i) => (i * i) >> 5)
    const bomb = compress(Buffer.concat([new Uint8Array(150_000), noise]))
    expect(open(bomb)).to.deep.equal(['malformed'])
    expect(open(encodeCompound([bomb, bomb, bytes(1)]))).to.deep.equal([
      'malformed',
      'too-large',
      1,
    ])
  })

  it('a packet expands to 64 KiB, or to 64 times its size', () => {
    expect(open(compress(new Uint8Array(65_000)))).to.deep.equal(['malformed'])
    expect(open(compress(new Uint8Array(66_000)))).to.deep.equal(['too-large'])
  })

  it('a label must match, and be there', () => {
    const packet = addLabel(bytes(1), label)
    expect(open(packet, { label })).to.deep.equal([1])
    expect(open(packet)).to.deep.equal(['bad-label'])
    expect(open(bytes(1), { label })).to.deep.equal(['bad-label'])
    expect(open(addLabel(bytes(1), Buffer.from('bluE')), { label })).to.deep.equal(['bad-label'])
    expect(open(fromHex('f400'), { label })).to.deep.equal(['bad-label'])
    expect(open(packet.subarray(0, 4), { label })).to.deep.equal(['truncated'])
  })

  it('without the label check no header may come', () => {
    const options = { label, skipLabelCheck: true }
    expect(open(bytes(1), options)).to.deep.equal([1])
    expect(open(addLabel(bytes(1), label), options)).to.deep.equal(['bad-label'])
  })

  it('the label is sealed into an encrypted packet', () => {
    const packet = addLabel(encrypt(key, 1, nonce, bytes(1), label), label)
    expect(open(packet, { label, keys: [key] })).to.deep.equal([1])
    const moved = addLabel(encrypt(key, 1, nonce, bytes(1), Buffer.from('red')), label)
    expect(open(moved, { label, keys: [key] })).to.deep.equal(['wrong-key'])
  })

  it('any key of the ring opens, no other', () => {
    const other = createSecretKey(new Uint8Array(32))
    const packet = encrypt(key, 0, nonce, bytes(1), new Uint8Array())
    expect(open(packet, { keys: [other, key] })).to.deep.equal([1])
    expect(open(packet, { keys: [other] })).to.deep.equal(['wrong-key'])
  })

  it('clear text is refused with a key, unless a migration allows it', () => {
    expect(open(bytes(1), { keys: [key] })).to.deep.equal(['malformed'])
    expect(open(bytes(1), { keys: [key], verify: false })).to.deep.equal([1])
  })

  it('encrypted lengths are known beforehand', () => {
    for (let length = 0; length < 40; length++) {
      for (const version of [0, 1] as const) {
        const blob = encrypt(key, version, nonce, new Uint8Array(length), new Uint8Array())
        expect(blob.length).to.equal(encryptedLength(version, length))
      }
    }
  })

  it('wrong padding under the right key is refused', () => {
    const forged = encrypt(key, 1, nonce, new Uint8Array(16).fill(17), new Uint8Array())
    forged[0] = 0
    expect(open(forged, { keys: [key] })).to.deep.equal(['malformed'])
  })
})
