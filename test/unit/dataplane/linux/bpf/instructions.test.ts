import { expect } from 'chai'
import * as i from '../../../../../src/dataplane/linux/bpf/instructions.ts'

/** As LLVM's disassembler shows them. */
const encodings: readonly (readonly [string, i.Line, string])[] = [
  ['r0 = 1', i.moveValue(0, 1), 'b7 00 00 00 01 00 00 00'],
  ['r0 = -1', i.moveValue(0, -1), 'b7 00 00 00 ff ff ff ff'],
  ['r6 = r1', i.move(6, 1), 'bf 16 00 00 00 00 00 00'],
  ['r2 += -8', i.addValue(2, -8), '07 02 00 00 f8 ff ff ff'],
  ['r2 = *(u32 *)(r1 + 76)', i.load('word', 2, 1, 76), '61 12 4c 00 00 00 00 00'],
  ['r2 = *(u16 *)(r7 + 12)', i.load('half', 2, 7, 12), '69 72 0c 00 00 00 00 00'],
  ['r2 = *(u8 *)(r7 + 0)', i.load('byte', 2, 7, 0), '71 72 00 00 00 00 00 00'],
  ['r2 = *(u64 *)(r7 + 8)', i.load('double', 2, 7, 8), '79 72 08 00 00 00 00 00'],
  ['*(u32 *)(r10 - 4) = r2', i.store('word', 10, -4, 2), '63 2a fc ff 00 00 00 00'],
  ['*(u32 *)(r10 - 8) = 7', i.storeValue('word', 10, -8, 7), '62 0a f8 ff 07 00 00 00'],
  ['lock *(u64 *)(r9 + 8) += r2', i.atomicAdd(9, 8, 2), 'db 29 08 00 00 00 00 00'],
  ['call 155', i.call(155), '85 00 00 00 9b 00 00 00'],
  ['exit', i.exit, '95 00 00 00 00 00 00 00'],
  ['r1 = map 5 ll', i.loadMap(1, 5), '18 11 00 00 05 00 00 00 00 00 00 00 00 00 00 00'],
]

const jumps: readonly (readonly [string, i.Line, string])[] = [
  ['goto +1', i.jump('end'), '05 00 01 00 00 00 00 00'],
  ['if r0 == 0 goto +1', i.jumpIf(0, '==', 0, 'end'), '15 00 01 00 00 00 00 00'],
  ['if r2 != 69 goto +1', i.jumpIf(2, '!=', 69, 'end'), '55 02 01 00 45 00 00 00'],
  ['if r2 > 1464 goto +1', i.jumpIf(2, '>', 1464, 'end'), '25 02 01 00 b8 05 00 00'],
  ['if r2 & 1 goto +1', i.jumpIf(2, 'sets', 1, 'end'), '45 02 01 00 01 00 00 00'],
  ['if r2 > r8 goto +1', i.jumpIfRegisters(2, '>', 8, 'end'), '2d 82 01 00 00 00 00 00'],
]

const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ')

describe('eBPF instructions', () => {
  for (const [text, line, wanted] of encodings)
    it(`encode ${text}`, () => expect(hex(i.assemble([line]))).to.equal(wanted))

  for (const [text, line, wanted] of jumps)
    it(`encode ${text}`, () => {
      const program = i.assemble([line, i.moveValue(0, 1), i.label('end'), i.exit])
      expect(hex(program.subarray(0, 8))).to.equal(wanted)
    })

  it('count a map as two in a jump over it', () => {
    const program = i.assemble([i.jump('end'), i.loadMap(1, 5), i.label('end'), i.exit])
    expect(program.readInt16LE(2)).to.equal(2)
  })

  it('have labels that are after the jump, once', () => {
    expect(() => i.assemble([i.jump('end'), i.exit])).to.throw('label end')
    expect(() => i.assemble([i.label('end'), i.exit, i.jump('end')])).to.throw('label end')
    expect(() => i.assemble([i.label('end'), i.label('end')])).to.throw('label end')
  })
})
