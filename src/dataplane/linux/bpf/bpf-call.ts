import { closeSync } from 'node:fs'
import koffi from 'koffi'
import { errnoOf } from '../../../base/errors.ts'
import { bpfCall, errnoName } from '../netlink/syscall.ts'

/**
 * bpf(2): maps and programs, from <linux/bpf.h>. Needs CAP_BPF and CAP_NET_ADMIN, and
 * CAP_SYS_ADMIN to find maps by the id of a program. Objects live while a descriptor, a program or
 * a filter of a link refers to them.
 */

const commands = {
  createMap: 0,
  loadProgram: 5,
  openProgram: 13,
  openMap: 14,
  getInfo: 15,
  readBatch: 24,
  writeBatch: 26,
  deleteBatch: 27,
} as const

const BPF_MAP_TYPE_HASH = 1
/** Memory for the rows that there are, not for all that fit. */
const BPF_F_NO_PREALLOC = 1
const BPF_PROG_TYPE_SCHED_CLS = 3

/** A name of an object in the kernel has 15 bytes at most. */
const nameBytes = 16
const attributeBytes = 128
const programInfoBytes = 64
const mapInfoBytes = 40
/** Of the count in the attributes of a batch; the kernel writes there how many rows it did. */
const batchCountOffset = 32
const maxMapsOfProgram = 8
/** Rows in one call: some 300 µs. */
const maxBatch = 1000
const maxLogBytes = 64 * 1024

/** What a hash map of ours is to be like. */
export interface MapShape {
  readonly name: string
  readonly keyBytes: number
  readonly valueBytes: number
  readonly maxEntries: number
}

/** A hash map in the kernel, by a descriptor. */
export class BpfMap {
  readonly fd: number
  readonly id: number
  readonly #shape: MapShape

  private constructor(fd: number, id: number, shape: MapShape) {
    this.fd = fd
    this.id = id
    this.#shape = shape
  }

  /** Creates an empty map. */
  static create(shape: MapShape): BpfMap {
    const attributes = new Attributes()
    const { name, keyBytes, valueBytes, maxEntries } = shape
    const fields = [BPF_MAP_TYPE_HASH, keyBytes, valueBytes, maxEntries, BPF_F_NO_PREALLOC]
    for (const [i, value] of fields.entries()) attributes.u32(4 * i, value)
    attributes.name(28, name)
    const fd = attributes.call('createMap', name)
    return new BpfMap(fd, readInfo(fd, mapInfoBytes).readUInt32LE(4), shape)
  }

  /**
   * Opens the map with that id as one of these shapes.
   * @returns null when it has another shape, or is gone.
   */
  static open(id: number, shapes: readonly MapShape[]): { name: string; map: BpfMap } | null {
    const fd = openById('openMap', id)
    if (fd === null) return null
    const info = readInfo(fd, mapInfoBytes)
    const found = [0, 8, 12, 16].map((offset) => info.readUInt32LE(offset))
    const name = readText(info, 24, nameBytes)
    const shape = shapes.find((one) => {
      const wanted = [BPF_MAP_TYPE_HASH, one.keyBytes, one.valueBytes, one.maxEntries]
      return one.name === name && wanted.every((value, i) => value === found[i])
    })
    if (shape !== undefined) return { name, map: new BpfMap(fd, id, shape) }
    closeSync(fd)
    return null
  }

  /** All rows. Rows that come or go meanwhile may be missing. */
  entries(): { key: Buffer; value: Buffer }[] {
    const { keyBytes, valueBytes } = this.#shape
    const rows: { key: Buffer; value: Buffer }[] = []
    const position = Buffer.alloc(16)
    for (let isFirst = true, isLast = false; !isLast; isFirst = false) {
      const keys = Buffer.alloc(maxBatch * keyBytes)
      const values = Buffer.alloc(maxBatch * valueBytes)
      const from = isFirst ? null : position
      const batch = this.#batch('readBatch', { count: maxBatch, keys, values, from, to: position })
      for (let i = 0; i < batch.done; i++)
        rows.push({
          key: keys.subarray(i * keyBytes, (i + 1) * keyBytes),
          value: values.subarray(i * valueBytes, (i + 1) * valueBytes),
        })
      isLast = batch.isOver
    }
    return rows
  }

  /** Writes rows, each with that value. */
  set(keys: readonly Buffer[], value: Buffer): void {
    for (let first = 0; first < keys.length; first += maxBatch) {
      const some = keys.slice(first, first + maxBatch)
      const values = Buffer.concat(some.map(() => value))
      this.#batch('writeBatch', { count: some.length, keys: Buffer.concat(some), values })
    }
  }

  /** Removes rows. One that is not there is no error. */
  delete(keys: readonly Buffer[]): void {
    for (let next = 0; next < keys.length;) {
      const some = keys.slice(next, next + maxBatch)
      const { done } = this.#batch('deleteBatch', { count: some.length, keys: Buffer.concat(some) })
      // The call ends at a row that is not there.
      next += done === some.length ? done : done + 1
    }
  }

  close(): void {
    closeSync(this.fd)
  }

  #batch(
    command: 'readBatch' | 'writeBatch' | 'deleteBatch',
    batch: { count: number; keys: Buffer; values?: Buffer; from?: Buffer | null; to?: Buffer },
  ): { done: number; isOver: boolean } {
    const attributes = new Attributes()
    const pointers = [batch.from, batch.to, batch.keys, batch.values]
    for (const [i, buffer] of pointers.entries())
      if (buffer !== null && buffer !== undefined) attributes.pointer(8 * i, buffer)
    attributes.u32(batchCountOffset, batch.count)
    attributes.u32(36, this.fd)
    let isOver = false
    try {
      attributes.call(command, this.#shape.name)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
      isOver = true
    }
    return { done: attributes.bytes.readUInt32LE(batchCountOffset), isOver }
  }
}

/** A program for a filter of a link, by a descriptor. */
export interface BpfProgram {
  readonly fd: number
  readonly id: number
  /** Digest of the instructions, without the maps. */
  readonly tag: string
  readonly mapIds: readonly number[]
}

/** Has the kernel verify a program. An error has the end of the verifier's log. */
export function loadProgram(name: string, instructions: Buffer): BpfProgram {
  const attributes = new Attributes()
  attributes.u32(0, BPF_PROG_TYPE_SCHED_CLS)
  attributes.u32(4, instructions.length / 8)
  attributes.pointer(8, instructions)
  attributes.pointer(16, Buffer.from('Apache-2.0\0'))
  attributes.name(48, name)
  try {
    return describeProgram(attributes.call('loadProgram', name))
  } catch (error) {
    if (!['EACCES', 'EINVAL'].includes(errnoOf(error))) throw error
    // The log costs time, so it is asked for only now.
    const log = Buffer.alloc(maxLogBytes)
    attributes.u32(24, 1)
    attributes.u32(28, log.length)
    attributes.pointer(32, log)
    return describeProgram(
      attributes.call('loadProgram', name, () => readText(log, 0, log.length).trim().slice(-300)),
    )
  }
}

/** Opens the program with that id; null when it is gone. */
export function openProgram(id: number): BpfProgram | null {
  const fd = openById('openProgram', id)
  return fd === null ? null : describeProgram(fd)
}

function describeProgram(fd: number): BpfProgram {
  const mapIds = Buffer.alloc(4 * maxMapsOfProgram)
  const info = readInfo(fd, programInfoBytes, mapIds)
  const count = Math.min(info.readUInt32LE(52), maxMapsOfProgram)
  return {
    fd,
    id: info.readUInt32LE(4),
    tag: info.toString('hex', 8, 16),
    mapIds: Array.from({ length: count }, (_, i) => mapIds.readUInt32LE(4 * i)),
  }
}

/** An error of bpf(2), with what the verifier says. */
class BpfError extends Error {
  override readonly name = 'BpfError'
  readonly code: string

  constructor(call: string, code: string, detail: string) {
    super(`bpf(${call}): ${code}${detail === '' ? '' : ` (${detail})`}`)
    this.code = code
  }
}

/** The attributes of one call: union bpf_attr. */
class Attributes {
  /** While the kernel works with pointers to buffers, nothing else may refer to these. */
  static readonly #inUse = new Set<Attributes>()
  readonly bytes = Buffer.alloc(attributeBytes)
  readonly #buffers: Buffer[] = []

  u32(offset: number, value: number): void {
    this.bytes.writeUInt32LE(value, offset)
  }

  name(offset: number, text: string): void {
    this.bytes.write(text.slice(0, nameBytes - 1), offset)
  }

  pointer(offset: number, to: Buffer): void {
    this.#buffers.push(to)
    writePointer(this.bytes, offset, to)
  }

  /** @returns the descriptor, where the call makes one. */
  call(command: keyof typeof commands, what: string, detail = (): string => ''): number {
    Attributes.#inUse.add(this)
    const result = bpfCall(commands[command], this.bytes)
    Attributes.#inUse.delete(this)
    if (result < 0) throw new BpfError(`${command} ${what}`, errnoName(koffi.errno()), detail())
    return result
  }
}

function openById(command: 'openProgram' | 'openMap', id: number): number | null {
  const attributes = new Attributes()
  attributes.u32(0, id)
  try {
    return attributes.call(command, String(id))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

/** What the kernel says of an object. When it fails, the descriptor is closed. */
function readInfo(fd: number, length: number, mapIds?: Buffer): Buffer {
  const info = Buffer.alloc(length)
  const attributes = new Attributes()
  attributes.u32(0, fd)
  attributes.u32(4, length)
  attributes.pointer(8, info)
  if (mapIds !== undefined) {
    info.writeUInt32LE(mapIds.length / 4, 52)
    writePointer(info, 56, mapIds)
  }
  try {
    attributes.call('getInfo', String(fd))
    return info
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function writePointer(bytes: Buffer, offset: number, to: Buffer): void {
  bytes.writeBigUInt64LE(koffi.address(to), offset)
}

function readText(bytes: Buffer, offset: number, length: number): string {
  return bytes.toString('latin1', offset, offset + length).replace(/\0[^]*$/, '')
}
