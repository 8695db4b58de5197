import { expect } from 'chai'
import fc from 'fast-check'
import { AssertionError } from '../../../../../src/base/errors.ts'
import {
  MessageWriter,
  type Request,
  readAttributes,
  readMessages,
  readString,
} from '../../../../../src/dataplane/linux/netlink/message.ts'

/** An attribute: bytes, or more attributes. */
type Tree = Map<number, Buffer | Tree>

const { tree: arbitraryTree } = fc.letrec<{ tree: Tree; value: Buffer | Tree }>((tie) => ({
  tree: fc
    .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 60 }), tie('value')), {
      maxLength: 4,
      selector: ([type]) => type,
    })
    .map((entries) => new Map(entries)),
  value: fc.oneof(
    { maxDepth: 3 },
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    tie('tree'),
  ),
}))

function write(writer: MessageWriter, tree: Tree): void {
  for (const [type, value] of tree)
    if (value instanceof Map) writer.nest(type, () => write(writer, value))
    else writer.bytesAttribute(type, value)
}

/** Reads with the shape of the original, for the wire does not tell nested from not. */
function read(bytes: Buffer, shape: Tree): Tree {
  return new Map(
    [...readAttributes(bytes)].map(([type, value]) => {
      const wanted = shape.get(type)
      return [type, wanted instanceof Map ? read(value, wanted) : value]
    }),
  )
}

describe('netlink messages', () => {
  it('are read as they were written, any number of them', () => {
    fc.assert(
      fc.property(fc.array(arbitraryTree, { maxLength: 5 }), (trees) => {
        const writer = new MessageWriter()
        trees.forEach((tree, i) =>
          writer.message({ type: 16 + i, flags: 0x400, body: (w) => write(w, tree) }, 1, 7 + i),
        )
        const messages = readMessages(Buffer.from(writer.bytes))
        expect(messages).to.have.length(trees.length)
        messages.forEach((message, i) => {
          expect(message).to.include({ type: 16 + i, flags: 0x401, sequence: 7 + i })
          expect(read(message.body, trees[i]!)).to.deep.equal(trees[i])
        })
      }),
    )
  })

  it('are in the format of the kernel', () => {
    const request: Request = {
      type: 0x1234,
      flags: 0x0300,
      body: (writer) => {
        writer.u8(7)
        writer.u8(0)
        writer.u16(0x0102)
        writer.stringAttribute(3, 'br0')
        writer.nest(18, () => {
          writer.u8Attribute(1, 5)
          writer.be16Attribute(15, 4789)
        })
        writer.u32Attribute(4, 0x01020304)
        writer.u16Attribute(39, 0x0102)
      },
    }
    const writer = new MessageWriter()
    writer.message(request, 0x5, 0x0a0b0c0d)
    expect(writer.bytes.toString('hex')).to.equal(
      [
        '40000000 3412 0503 0d0c0b0a 00000000',
        '0700 0201',
        '0800 0300 62723000',
        '1400 1280 0500 0100 05000000 0600 0f00 12b50000',
        '0800 0400 04030201',
        '0600 2700 02010000',
      ]
        .join('')
        .replaceAll(' ', ''),
    )
  })

  it('grow as large as a batch needs', () => {
    const writer = new MessageWriter()
    const body = (w: MessageWriter): void => w.bytesAttribute(1, Buffer.alloc(60_000, 7))
    for (let i = 0; i < 5; i++) writer.message({ type: 16, flags: 0, body }, 0, i)
    const messages = readMessages(writer.bytes)
    expect(messages.map(({ sequence }) => sequence)).to.deep.equal([0, 1, 2, 3, 4])
    expect(readAttributes(messages[4]!.body).get(1)!.equals(Buffer.alloc(60_000, 7))).to.equal(true)
    writer.clear()
    expect(writer.bytes).to.have.length(0)
  })

  it('that claim more than there is are caught, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        for (const reader of [readMessages, readAttributes])
          try {
            reader(Buffer.from(bytes))
          } catch (error) {
            expect(error).to.be.instanceOf(AssertionError)
          }
      }),
    )
    expect(() => readMessages(Buffer.from('20000000100000000000000000000000', 'hex'))).to.throw()
    expect(() => readAttributes(Buffer.from('0900010041424300', 'hex'))).to.throw()
  })

  it('have strings that end at the first zero', () => {
    expect(readString(Buffer.from('br0\0x'))).to.equal('br0')
    expect(readString(Buffer.from('br0'))).to.equal('br0')
    expect(readString(undefined)).to.equal('')
  })
})
