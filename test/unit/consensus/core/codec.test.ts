import { expect } from 'chai'
import fc from 'fast-check'
import { ByteReader, ByteWriter, CodecError } from '../../../../src/base/bytes.ts'
import { readMessage, writeMessage } from '../../../../src/consensus/core/codec.ts'
import type { Entry, Message } from '../../../../src/consensus/core/types.ts'

const number = fc.nat({ max: 2 ** 31 - 1 })
const bytes = fc.uint8Array({ maxLength: 50 })
const ids = fc.array(fc.string({ maxLength: 20 }), { maxLength: 5 })
const configuration = fc.record({ voters: ids, learners: ids })

const content = fc.oneof(
  fc.constant({ kind: 'empty' as const }),
  fc.record({ kind: fc.constant('command' as const), data: bytes }),
  fc.record({ kind: fc.constant('configuration' as const), configuration }),
  fc.record({ kind: fc.constant('version' as const), version: fc.nat({ max: 2 ** 16 }) }),
)

const append = fc
  .record({
    term: number,
    prevIndex: number,
    prevTerm: number,
    commit: number,
    round: number,
    contents: fc.array(fc.tuple(content, number), { maxLength: 5 }),
  })
  .map(({ contents, ...message }): Message => {
    const entries = contents.map(([what, timeMs], i): Entry => ({
      index: message.prevIndex + 1 + i,
      term: message.term,
      timeMs,
      ...what,
    }))
    return { kind: 'append', ...message, entries }
  })

const snapshot = fc
  .record({ index: number, term: number, timeMs: number, configuration, data: bytes })
  .map((fields) => ({ ...fields, version: 3 }))

const message: fc.Arbitrary<Message> = fc.oneof(
  append,
  fc.record({
    kind: fc.constant('vote' as const),
    term: number,
    isPre: fc.boolean(),
    isTransfer: fc.boolean(),
    lastIndex: number,
    lastTerm: number,
    knows: number,
  }),
  fc.record({
    kind: fc.constant('appended' as const),
    term: number,
    round: number,
    match: number,
    rejected: number,
    hintIndex: number,
    hintTerm: number,
    knows: number,
  }),
  fc.record({
    kind: fc.constant('snapshot' as const),
    term: number,
    round: number,
    snapshot,
    offset: number,
    total: fc.nat({ max: 1000 }),
  }),
  fc.record({ kind: fc.constant('timeout-now' as const), term: number }),
)

function encoded(one: Message): Uint8Array {
  const writer = new ByteWriter()
  writeMessage(writer, one)
  return writer.bytes()
}

const plain = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]))
}

describe('messages of Raft as bytes', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(message, (one) => {
        expect(plain(readMessage(new ByteReader(encoded(one))))).to.deep.include(plain(one))
      }),
    )
  })

  it('are refused with CodecError when they are cut or changed, or read as some message', () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.nat({ max: 255 }), (one, at, value) => {
        const broken = encoded(one)
        broken[at % broken.length] = value
        for (const part of [broken, broken.subarray(0, at % broken.length)]) {
          try {
            readMessage(new ByteReader(part))
          } catch (error) {
            expect(error).to.be.instanceOf(CodecError)
          }
        }
      }),
    )
  })

  it('never have an entry of a later term than their leader', () => {
    const entry: Entry = { kind: 'empty', index: 8, term: 4, timeMs: 0 }
    const one = { prevIndex: 7, prevTerm: 3, commit: 7, round: 1, entries: [entry] }
    const bytes = encoded({ kind: 'append', term: 3, ...one })
    expect(() => readMessage(new ByteReader(bytes))).to.throw(CodecError)
  })
})
