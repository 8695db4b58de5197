/**
 * Kinds of records. A record is what a member publishes about itself: it has a kind, and a key that
 * is unique among this member's records of that kind. In the log and on the wire it is an id (the
 * kind's number as one character, then the key) and a value, both opaque: a record of a kind that
 * this release does not know is kept and passed on as it came.
 *
 * To add a kind, define it in src/wiring/records.ts and add it to the list there:
 *
 *     export const hostRecord = defineRecord({
 *       kind: 'host',
 *       number: 5,                                    // the next free one
 *       key: fieldKey('hostId'),                      // or a { write, read } of several fields
 *       schema: v.object({ prefixes: v.array(cidr) }),  // the fields that are not in the key
 *       validate: ({ prefixes }) => (prefixes.length > 64 ? 'has over 64 prefixes' : null),
 *     })
 *     export type HostRecord = RecordOf<typeof hostRecord>
 *
 *     cluster.put(hostRecord, { hostId, prefixes })       // publish
 *     cluster.remove(hostRecord, hostId)                  // withdraw, by key
 *     cluster.records(hostRecord)                         // all members', typed
 *     cluster.onTransitions((batch) => { if (hostRecord.is(batch[0].next)) … })
 *
 * The schema reads what other members sent, of any release: give new fields `v.optional`, bound the
 * size of arrays and strings, and never change the meaning of a field. Old releases ignore new
 * ones.
 */
import * as v from 'valibot'
import { assert, refusal } from '../../base/errors.ts'
import { type Packed, pack, unpack } from '../../base/bytes.ts'

/** A record of any kind. */
export interface AnyRecord {
  readonly kind: string
}

/** A record's fields without its kind. */
export type Fields<R extends AnyRecord> = Omit<R, 'kind'>

/** The records of a type. */
export type RecordOf<T> = T extends RecordType<infer R> ? R : never

/** Why a value is no record of its kind. */
export class RecordFault {
  /** Completes "a record of kind X that …". */
  readonly reason: string

  constructor(reason: string) {
    this.reason = reason
  }
}

/** What the cluster has to know about one kind of record. */
export interface RecordType<R extends AnyRecord = AnyRecord> {
  readonly kind: string
  /** 1 to 255, on the wire; never used again for another kind. */
  readonly number: number
  /** The key that a record has. */
  keyOf(record: Fields<R>): string
  /** The key in bytes; null when the text is no key of this kind. */
  packKey(key: string): Packed | null
  /** The value in bytes. Throws BAD_REQUEST when a field is out of its range. */
  encode(record: Fields<R>): Packed
  /** The record, or why it is none; whatever the bytes are. */
  decode(key: Packed, value: Packed): R | RecordFault
  /** Whether a record is of this kind. */
  is(record: AnyRecord | null | undefined): record is R
}

/** The fields that make the key, to text and back. */
interface RecordKey<K extends object> {
  readonly write: (fields: K) => string
  /** Null when the text is none that `write` makes. */
  readonly read: (text: string) => K | null
}

/** What `defineRecord` takes; the example above has one. */
interface RecordDefinition<N extends string, K extends object, F extends object> {
  readonly kind: N
  readonly number: number
  readonly key: RecordKey<K>
  /** The fields that are not in the key. They travel as JSON. */
  readonly schema: v.GenericSchema<unknown, F>
  /** What is wrong with a record whose fields are right one by one ("has …"); null if nothing. */
  readonly validate?: (record: K & F) => string | null
}

/** So that a repair of one record always goes through; a long one travels by TCP. */
const maxRecordBytes = 8192

/** A key that is one field, a string. */
export function fieldKey<F extends string>(field: F): RecordKey<{ readonly [K in F]: string }> {
  type Key = { readonly [K in F]: string }
  return { write: (fields) => fields[field], read: (text) => ({ [field]: text }) as Key }
}

/** A kind of record whose value is JSON. For kinds of which a member has few. */
export function defineRecord<const N extends string, K extends object, F extends object>(
  definition: RecordDefinition<N, K, F>,
): RecordType<{ readonly kind: N } & K & F> {
  type R = { readonly kind: N } & K & F
  const { kind, number, key, schema, validate } = definition
  const read = (text: string, fields: unknown): R | RecordFault => {
    const keyFields = key.read(text)
    const rest = v.safeParse(schema, fields)
    if (keyFields === null || !rest.success) return new RecordFault('cannot be read')
    const record = { kind, ...keyFields, ...rest.output }
    const fault = validate?.(record) ?? null
    return fault === null ? record : new RecordFault(fault)
  }
  return {
    kind,
    number,
    keyOf: (record) => key.write(record as unknown as K),
    packKey: (text) => pack(Buffer.from(text, 'utf8')),
    encode(record) {
      const text = key.write(record as unknown as K)
      const keyFields = key.read(text)
      const names = new Set(['kind', ...Object.keys(keyFields ?? {})])
      const fields = Object.entries(record).filter(([name]) => !names.has(name))
      const json = JSON.stringify(Object.fromEntries(fields))
      const back = read(Buffer.from(text, 'utf8').toString('utf8'), parseJson(json))
      const isSame = !(back instanceof RecordFault) && key.write(back) === text
      if (!isSame) {
        const reason = back instanceof RecordFault ? back.reason : 'has a key that is no text'
        throw refusal('BAD_REQUEST', `${kind} record "${text}" ${reason}`)
      }
      return pack(Buffer.from(json, 'utf8'))
    },
    decode: (packed, value) =>
      read(Buffer.from(packed, 'latin1').toString('utf8'), parseJson(utf8(value))),
    is: (record): record is R => record?.kind === kind,
  }
}

/** The kinds of records that this release knows. */
export class RecordTypes {
  readonly #byNumber = new Map<number, RecordType>()

  constructor(types: readonly RecordType[]) {
    for (const type of types) {
      assert(!this.#byNumber.has(type.number), `two kinds of records have number ${type.number}`)
      this.#byNumber.set(type.number, type)
    }
  }

  /** The type of a log's id; undefined for a kind of a later release. */
  of(id: Packed): RecordType | undefined {
    return this.#byNumber.get(id.charCodeAt(0))
  }

  /** A log's entry as a record; null when this release cannot read it. */
  decode(id: Packed, value: Packed): AnyRecord | null {
    const record = this.of(id)?.decode(id.slice(1), value)
    return record === undefined || record instanceof RecordFault ? null : record
  }
}

/**
 * The id that the record of this key has in a log. Throws BAD_REQUEST for a key of another form.
 */
export function recordId(type: RecordType, key: string): Packed {
  const packed = type.packKey(key)
  if (packed === null) throw refusal('BAD_REQUEST', `"${key}" is no key of ${type.kind} records`)
  return String.fromCharCode(type.number) + packed
}

/** A record as a log's id and value. Throws BAD_REQUEST when a field is out of its range. */
export function encodeRecord<R extends AnyRecord>(
  type: RecordType<R>,
  record: Fields<R>,
): { id: Packed; value: Packed } {
  const key = type.keyOf(record)
  const id = recordId(type, key)
  const value = type.encode(record)
  const bytes = id.length + value.length
  if (bytes > maxRecordBytes) {
    const size = `has ${bytes} bytes; the limit is ${maxRecordBytes}`
    throw refusal('BAD_REQUEST', `${type.kind} record "${key}" ${size}`)
  }
  return { id, value }
}

function utf8(value: Packed): string {
  return Buffer.from(unpack(value)).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
