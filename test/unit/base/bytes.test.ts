import { expect } from 'chai'
import fc from 'fast-check'
import {
  ByteReader,
  ByteWriter,
  CodecError,
  pack,
  unpack,
  varintLength,
} from '../../../src/base/bytes.ts'

describe('cluster/bytes', () => {
  it('reads back what was written', () => {
    const field = fc.oneof(
      fc.record({ as: fc.constant('uint' as const), value: fc.nat({ max: 0xffff_ffff }) }),
      fc.record({ as: fc.constant('varint' as const), value: fc.maxSafeNat() }),
      fc.record({
        as: fc.constant('zigzag' as const),
        value: fc.integer({ min: -(2 ** 51), max: 2 ** 51 }),
      }),
      fc.record({ as: fc.constant('block' as const), value: fc.uint8Array({ maxLength: 700 }) }),
    )
    fc.assert(
      fc.property(fc.array(field), (fields) => {
        const out = new ByteWriter()
        for (const { as, value } of fields) {
          if (as === 'uint') out.uint(value, 4)
          else if (as === 'varint') out.varint(value)
          else if (as === 'zigzag') out.zigzag(value)
          else out.block(pack(value))
        }
        const reader = new ByteReader(out.bytes())
        for (const { as, value } of fields) {
          if (as === 'uint') expect(reader.uint(4)).to.equal(value)
          else if (as === 'varint') expect(reader.varint()).to.equal(value)
          else if (as === 'zigzag') expect(reader.zigzag()).to.equal(value)
          else expect(unpack(reader.block())).to.deep.equal(Buffer.from(value))
        }
        expect(reader.left).to.equal(0)
      }),
    )
  })

  it('knows how long a varint is', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        expect(new ByteWriter().varint(value).length).to.equal(varintLength(value))
      }),
    )
  })

  it('refuses to read past the end, and numbers that a double cannot hold', () => {
    const short = new ByteReader(Uint8Array.of(1, 2))
    expect(() => short.uint(3)).to.throw(CodecError)
    expect(() => short.packed(3)).to.throw(CodecError)
    expect(() => new ByteReader(Uint8Array.of(5, 1)).block()).to.throw(CodecError)
    const huge = Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 127)
    expect(() => new ByteReader(huge).varint()).to.throw(CodecError)
    expect(() => new ByteReader(new Uint8Array(9).fill(0x80)).varint()).to.throw(CodecError)
  })

  it('keeps a part from reading what follows it', () => {
    const reader = new ByteReader(Uint8Array.of(1, 2, 3, 4))
    const part = reader.part(2)
    expect(part.uint(2)).to.equal(0x0102)
    expect(() => part.uint(1)).to.throw(CodecError)
    expect(reader.uint(2)).to.equal(0x0304)
  })
})
