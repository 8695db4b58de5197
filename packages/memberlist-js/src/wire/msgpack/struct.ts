import { MAX_ELEMENTS } from '../../limits.ts'
import { WireError } from '../wire-error.ts'
import type { MsgpackReader } from './msgpack-reader.ts'
import { MsgpackWriter } from './msgpack-writer.ts'

/**
 * A message body as Go declares it. The keys here are Go's field names with a small first letter,
 * in declaration order: that order counts when a body comes as an array. On the wire the keys are
 * sorted bytewise.
 */
export type Kind = 'string' | 'bytes' | 'bool' | 'u8' | 'u16' | 'u32' | 'int'

/** A kind, or `kind?` for a field that is left out when empty (Go's `omitempty`). */
type FieldKind = Kind | `${Kind}?`

type Shape = Readonly<Record<string, FieldKind>>

type ValueOf<K extends FieldKind> = K extends 'string' | 'string?'
  ? string
  : K extends 'bytes' | 'bytes?'
    ? Uint8Array | null
    : K extends 'bool' | 'bool?'
      ? boolean
      : number

/** The TypeScript value of a shape. A byte array is `null` where Go has a nil slice. */
export type Body<S extends Shape> = { -readonly [Name in keyof S]: ValueOf<S[Name]> }

interface Field {
  readonly name: string
  readonly kind: Kind
  readonly omitEmpty: boolean
  /** The encoded map key. */
  readonly key: Uint8Array
}

/** Encodes and decodes one kind of body. */
export interface Struct<S extends Shape> {
  readonly encode: (writer: MsgpackWriter, body: Readonly<Body<S>>) => void
  readonly decode: (reader: MsgpackReader) => Body<S>
}

const MAX: Readonly<Record<'u8' | 'u16' | 'u32' | 'int', number>> = {
  u8: 0xff,
  u16: 0xffff,
  u32: 0xffffffff,
  int: 0x7fffffff,
}

/** Makes the codec of a shape. */
export function struct<const S extends Shape>(shape: S): Struct<S> {
  const declared = Object.entries(shape).map(([name, kind]) => makeField(name, kind))
  const sorted = declared.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const byKey = new Map(sorted.map((field) => [wireName(field.name), field]))
  return {
    encode: (writer, body) => encodeFields(writer, sorted, body),
    decode: (reader) => {
      const body: Record<string, unknown> = {}
      for (const field of declared) body[field.name] = zero(field.kind)
      const { form, length } = reader.structHead()
      if (length > MAX_ELEMENTS) {
        throw new WireError('too-large', `a struct announces ${length} fields`)
      }
      if (form === 'map') decodeMap(reader, length, sorted, byKey, body)
      else decodeArray(reader, length, declared, body)
      return body as Body<S>
    },
  }
}

function makeField(name: string, kind: FieldKind): Field {
  return {
    name,
    kind: kind.replace('?', '') as Kind,
    omitEmpty: kind.endsWith('?'),
    key: new MsgpackWriter().string(wireName(name)).finish(),
  }
}

function wireName(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1)
}

function encodeFields(
  writer: MsgpackWriter,
  fields: readonly Field[],
  body: Readonly<Record<string, unknown>>,
): void {
  const present = fields.filter((field) => !field.omitEmpty || !isEmpty(body[field.name]))
  writer.mapHead(present.length)
  for (const field of present) encodeValue(writer.append(field.key), field.kind, body[field.name])
}

function encodeValue(writer: MsgpackWriter, kind: Kind, value: unknown): void {
  if (kind === 'string') writer.string(value as string)
  else if (kind === 'bytes') writer.byteArray(value as Uint8Array | null)
  else if (kind === 'bool') writer.boolean(value as boolean)
  else if (kind === 'int') writer.int(value as number)
  else writer.unsigned(value as number)
}

function decodeMap(
  reader: MsgpackReader,
  length: number,
  sorted: readonly Field[],
  byKey: ReadonlyMap<string, Field>,
  body: Record<string, unknown>,
): void {
  let guess = 0
  for (let i = 0; i < length; i++) {
    const field = nextField(reader, sorted, guess) ?? byKey.get(reader.string())
    if (field === undefined) {
      reader.skip()
    } else {
      body[field.name] = decodeValue(reader, field.kind)
      guess = sorted.indexOf(field) + 1
    }
  }
}

/**
 * Peers send their keys sorted, so the next key is nearly always the one expected: no string is
 * made for it.
 */
function nextField(
  reader: MsgpackReader,
  sorted: readonly Field[],
  guess: number,
): Field | undefined {
  for (let i = guess; i < sorted.length; i++) {
    const field = sorted[i]!
    if (reader.accept(field.key)) return field
    if (!field.omitEmpty) return undefined
  }
  return undefined
}

function decodeArray(
  reader: MsgpackReader,
  length: number,
  declared: readonly Field[],
  body: Record<string, unknown>,
): void {
  for (let i = 0; i < length; i++) {
    const field = declared[i]
    if (field === undefined) reader.skip()
    else body[field.name] = decodeValue(reader, field.kind)
  }
}

function decodeValue(
  reader: MsgpackReader,
  kind: Kind,
): string | boolean | number | Uint8Array | null {
  if (kind === 'string') return reader.string()
  if (kind === 'bytes') return reader.byteArray()
  if (kind === 'bool') return reader.boolean()
  return reader.unsigned(MAX[kind])
}

function zero(kind: Kind): string | boolean | number | null {
  if (kind === 'string') return ''
  if (kind === 'bytes') return null
  return kind === 'bool' ? false : 0
}

function isEmpty(value: unknown): boolean {
  return value === '' || value === 0 || value === null || value === false || isEmptyArray(value)
}

function isEmptyArray(value: unknown): boolean {
  return value instanceof Uint8Array && value.length === 0
}
