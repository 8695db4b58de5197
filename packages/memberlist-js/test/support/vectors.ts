import { readFileSync } from 'node:fs'

/** A UDP packet as a Go peer wrote it, and what it says. Byte arrays are hexadecimal. */
export interface PacketVector {
  readonly name: string
  readonly hex: string
  readonly key?: string
  readonly label?: string
  /** From the outside in, the label apart. */
  readonly layers: readonly string[]
  readonly messages: readonly Record<string, unknown>[]
}

/** One direction of a TCP stream. The dialler's begins with the label header. */
export interface StreamVector {
  readonly name: string
  readonly hex: string
  readonly key?: string
  readonly label?: string
  readonly side: 'dialler' | 'acceptor'
  readonly layers: readonly string[]
  readonly message: Record<string, unknown>
}

export interface LzwVector {
  readonly name: string
  readonly plain: string
  readonly withClear: string
  readonly withoutClear: string
}

/** Reads `test/vectors/NAME.json`. */
export function loadVectors<T>(name: string): T {
  const url = new URL(`../vectors/${name}.json`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8')) as T
}

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'))
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

/** Replaces byte arrays by hexadecimal text, at any depth. */
export function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) return toHex(value)
  if (Array.isArray(value)) return value.map(readable)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, readable(part)]))
}

/** Chunks as a stream. */
export async function* chunksOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}
