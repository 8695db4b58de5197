/**
 * eBPF instructions (RFC 9669) and their encoding. An instruction has 8 bytes: operation,
 * registers, a signed 16-bit offset and a signed 32-bit immediate, in the machine's byte order,
 * which is little-endian here. A program is a list of instructions and labels; jumps name a label
 * that comes later.
 */
import { assert } from '../../../base/errors.ts'

/** r0 is a result, r1 to r5 are arguments that calls overwrite, r10 is the frame pointer. */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10
export type Label = string

interface Instruction {
  readonly opcode: number
  readonly destination?: Register
  readonly source?: number
  readonly offset?: number
  readonly immediate?: number
  /** Where a jump goes; its offset is computed. */
  readonly target?: Label
  /** The instruction has a second half: the high 32 bits of a 64-bit immediate, zero here. */
  readonly isWide?: boolean
}

export type Line = Instruction | { readonly label: Label }

const instructionBytes = 8

const LD = 0x00
const LDX = 0x01
const ST = 0x02
const STX = 0x03
const JMP = 0x05
const ALU64 = 0x07
const MEM = 0x60
const ATOMIC = 0xc0
/** The source operand is a register, not the immediate. */
const X = 0x08
const DW = 0x18
/** The immediate of a 64-bit load is the descriptor of a map. */
const BPF_PSEUDO_MAP_FD = 1

const sizes = { byte: 0x10, half: 0x08, word: 0x00, double: DW } as const
type Size = keyof typeof sizes
/** Unsigned, and `sets`: whether they have a bit in common. */
const conditions = { '==': 0x10, '>': 0x20, sets: 0x40, '!=': 0x50 } as const

/** `to = *(from + offset)` */
export function load(size: Size, to: Register, from: Register, offset: number): Instruction {
  return { opcode: LDX | MEM | sizes[size], destination: to, source: from, offset }
}

/** `*(to + offset) = from` */
export function store(size: Size, to: Register, offset: number, from: Register): Instruction {
  return { opcode: STX | MEM | sizes[size], destination: to, source: from, offset }
}

/** `*(to + offset) = value` */
export function storeValue(size: Size, to: Register, offset: number, value: number): Instruction {
  return { opcode: ST | MEM | sizes[size], destination: to, offset, immediate: value }
}

/** `*(to + offset) += from`, atomic, 64 bits. */
export function atomicAdd(to: Register, offset: number, from: Register): Instruction {
  return { opcode: STX | ATOMIC | DW, destination: to, source: from, offset }
}

/** `to = from` */
export function move(to: Register, from: Register): Instruction {
  return { opcode: ALU64 | 0xb0 | X, destination: to, source: from }
}

/** `to = value` */
export function moveValue(to: Register, value: number): Instruction {
  return { opcode: ALU64 | 0xb0, destination: to, immediate: value }
}

/** `to += value` */
export function addValue(to: Register, value: number): Instruction {
  return { opcode: ALU64, destination: to, immediate: value }
}

/** `to =` the map with that descriptor. */
export function loadMap(to: Register, fd: number): Instruction {
  return {
    opcode: LD | DW,
    destination: to,
    source: BPF_PSEUDO_MAP_FD,
    immediate: fd,
    isWide: true,
  }
}

/** Goes to a label when a register compares so with a value. */
export function jumpIf(
  left: Register,
  condition: keyof typeof conditions,
  value: number,
  target: Label,
): Instruction {
  return { opcode: JMP | conditions[condition], destination: left, immediate: value, target }
}

/** Goes to a label when two registers compare so. */
export function jumpIfRegisters(
  left: Register,
  condition: keyof typeof conditions,
  right: Register,
  target: Label,
): Instruction {
  return { opcode: JMP | conditions[condition] | X, destination: left, source: right, target }
}

/** Goes to a label. */
export function jump(target: Label): Instruction {
  return { opcode: JMP, target }
}

/** Calls a function of the kernel by its number: `r0 = helper(r1, …, r5)`. */
export function call(helper: number): Instruction {
  return { opcode: JMP | 0x80, immediate: helper }
}

/** Ends the program with the result in r0. */
export const exit: Instruction = { opcode: JMP | 0x90 }

/** A place that jumps before it can name. */
export function label(name: Label): Line {
  return { label: name }
}

/** The program as bytes. A label that is missing, repeated or before its jump is a bug. */
export function assemble(program: readonly Line[]): Buffer {
  const places = placesOf(program)
  const encoded: Buffer[] = []
  let at = 0
  for (const line of program) {
    if ('label' in line) continue
    at += lengthOf(line)
    encoded.push(encode(line, line.target === undefined ? 0 : distance(places, line.target, at)))
  }
  return Buffer.concat(encoded)
}

function placesOf(program: readonly Line[]): Map<Label, number> {
  const places = new Map<Label, number>()
  let at = 0
  for (const line of program) {
    if (!('label' in line)) at += lengthOf(line)
    else {
      assert(!places.has(line.label), `label ${line.label} is there twice`)
      places.set(line.label, at)
    }
  }
  return places
}

/** From the instruction after the jump, in instructions. */
function distance(places: ReadonlyMap<Label, number>, target: Label, next: number): number {
  const place = places.get(target)
  assert(place !== undefined && place >= next, `label ${target} is not after the jump to it`)
  return place - next
}

function lengthOf({ isWide = false }: Instruction): number {
  return isWide ? 2 : 1
}

function encode(instruction: Instruction, jumpOffset: number): Buffer {
  const { opcode, destination = 0, source = 0, offset = jumpOffset, immediate = 0 } = instruction
  const bytes = Buffer.alloc(instructionBytes * lengthOf(instruction))
  bytes.writeUInt8(opcode, 0)
  bytes.writeUInt8(destination | (source << 4), 1)
  bytes.writeInt16LE(offset, 2)
  bytes.writeInt32LE(immediate, 4)
  return bytes
}
