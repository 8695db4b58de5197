/**
 * What a member tells the others: its records, each with a kind and a key that is unique among this
 * member's records of that kind. On the way, and in the replica, a record is an id (the kind's number
 * as one character, then the key) and a value, both opaque: kinds of later releases are kept and
 * passed on as they came, and only here is it known which kinds this release can read.
 */
import * as v from 'valibot'
import { refusal } from '../../base/errors.ts'
import { type Cidr, parseCidr } from '../../net/cidr.ts'
import { type Ip, parseIp } from '../../net/ip.ts'
import { isOverlayMtu } from '../../net/mtu.ts'
import { type Vni, vniLast } from '../../net/vni.ts'
import { type Packed, pack, unpack } from './bytes.ts'
import {
  type EndpointRecord,
  decodeEndpoint,
  endpointKey,
  endpointKind,
  encodeEndpoint,
  packEndpointKey,
} from './endpoint-record.ts'

export type { EndpointRecord } from './endpoint-record.ts'

/** An overlay that this member takes part in. */
interface OverlayRecord {
  readonly kind: 'overlay'
  readonly overlayId: string
  readonly vni: Vni
  readonly pools: readonly Cidr[]
  /** Bytes, inside the tunnel. */
  readonly mtu: number
  /** The member's UDP port for VXLAN; unknown of members of earlier releases. */
  readonly port?: number | undefined
}

/** A pool that this member serves addresses of. */
export interface PoolRecord {
  readonly kind: 'pool'
  readonly poolKey: string
  readonly gateway: Ip | null
  readonly reserved: readonly Ip[]
  /** Chosen by us, not asked for. */
  readonly auto: boolean
  /** Seconds since 1970. */
  readonly since: number
}

/** A block of a pool that this member owns. */
export interface BlockRecord {
  readonly kind: 'block'
  readonly poolKey: string
  readonly index: number
  /** Seconds since 1970. */
  readonly since: number
}

export type ClusterRecord = EndpointRecord | OverlayRecord | PoolRecord | BlockRecord
export type RecordKind = ClusterRecord['kind']
export type RecordOf<K extends RecordKind> = Extract<ClusterRecord, { kind: K }>

/** So that a repair of one record always goes through; the rare long one travels by TCP. */
const maxRecordBytes = 8192

/** The numbers of the kinds on the wire. A number is never used again for something else. */
const kindNumbers: Readonly<Record<RecordKind, number>> = {
  endpoint: endpointKind,
  overlay: 2,
  pool: 3,
  block: 4,
}

const natural = v.pipe(v.number(), v.integer(), v.minValue(0))
const parsed = <T>(parse: (text: string) => T | null) =>
  v.pipe(v.string(), v.transform(parse), v.nonNullable(v.any() as v.GenericSchema<T | null, T>))
const vniSchema = v.pipe(
  natural,
  v.minValue(1),
  v.maxValue(vniLast),
  v.transform((n) => n as Vni),
)

const overlaySchema = v.object({
  vni: vniSchema,
  pools: v.array(parsed<Cidr>(parseCidr)),
  // Others take the least that any member has.
  mtu: v.pipe(v.number(), v.check(isOverlayMtu)),
  port: v.optional(v.pipe(natural, v.minValue(1), v.maxValue(65_535))),
})
const poolSchema = v.object({
  gateway: v.nullable(parsed<Ip>(parseIp)),
  reserved: v.array(parsed<Ip>(parseIp)),
  auto: v.boolean(),
  since: natural,
})
const blockSchema = v.object({ since: natural })

/** The key: unique for this kind among one member's records. */
export function recordKey(record: ClusterRecord): string {
  switch (record.kind) {
    case 'endpoint':
      return endpointKey(record)
    case 'overlay':
      return record.overlayId
    case 'pool':
      return record.poolKey
    case 'block':
      return `${record.index} ${record.poolKey}`
  }
}

/** The id that a record of this kind and key has in a log. Throws BAD_REQUEST for a key of another form. */
export function recordId(kind: RecordKind, key: string): Packed {
  const packed = kind === 'endpoint' ? packEndpointKey(key) : pack(Buffer.from(key, 'utf8'))
  if (packed === null) throw refusal('BAD_REQUEST', `"${key}" is not the key of an ${kind} record`)
  return String.fromCharCode(kindNumbers[kind]) + packed
}

/** Whether a log's id is of this kind. */
export function isOfKind(id: Packed, kind: RecordKind): boolean {
  return id.charCodeAt(0) === kindNumbers[kind]
}

/** The kind that a log's id is of; null for one of a later release. */
export function kindOf(id: Packed): RecordKind | null {
  const kinds: readonly RecordKind[] = ['endpoint', 'overlay', 'pool', 'block']
  return kinds.find((kind) => isOfKind(id, kind)) ?? null
}

/** A record as an id and a value. Throws BAD_REQUEST when a field is out of its range. */
export function encodeRecord(record: ClusterRecord): { id: Packed; value: Packed } {
  const id = recordId(record.kind, recordKey(record))
  const value = record.kind === 'endpoint' ? encodeEndpoint(record) : encodeRare(record)
  if (id.length + value.length > maxRecordBytes) {
    const size = `${id.length + value.length} bytes; ${maxRecordBytes} is the most`
    throw refusal('BAD_REQUEST', `${record.kind} record "${recordKey(record)}" has ${size}`)
  }
  return { id, value }
}

/** A log's entry as a record; null when this release cannot read it. */
export function decodeRecord(id: Packed, value: Packed): ClusterRecord | null {
  const key = id.slice(1)
  if (id.charCodeAt(0) === endpointKind) return decodeEndpoint(key, value)
  return decodeRare(id.charCodeAt(0), Buffer.from(key, 'latin1').toString('utf8'), value)
}

/** Kinds of which a member has few are JSON without what the key says already. */
function encodeRare(record: Exclude<ClusterRecord, EndpointRecord>): Packed {
  const { kind: _, ...rest } = record
  const fields: Record<string, unknown> = rest
  for (const name of ['overlayId', 'poolKey', 'index']) delete fields[name]
  const value = pack(Buffer.from(JSON.stringify(fields), 'utf8'))
  const back = decodeRare(
    kindNumbers[record.kind],
    Buffer.from(recordKey(record), 'utf8').toString('utf8'),
    value,
  )
  if (back === null || recordKey(back) !== recordKey(record)) {
    throw refusal('BAD_REQUEST', `${record.kind} record "${recordKey(record)}" has a bad field`)
  }
  return value
}

function decodeRare(kind: number, key: string, value: Packed): ClusterRecord | null {
  const fields = parseJson(value)
  if (kind === kindNumbers.overlay) {
    const read = v.safeParse(overlaySchema, fields)
    return read.success ? { kind: 'overlay', overlayId: key, ...read.output } : null
  }
  if (kind === kindNumbers.pool) {
    const read = v.safeParse(poolSchema, fields)
    return read.success ? { kind: 'pool', poolKey: key, ...read.output } : null
  }
  if (kind === kindNumbers.block) {
    const read = v.safeParse(blockSchema, fields)
    const [, index, poolKey] = /^(\d{1,9}) (.*)$/s.exec(key) ?? []
    if (!read.success || index === undefined || poolKey === undefined) return null
    return { kind: 'block', poolKey, index: Number(index), ...read.output }
  }
  return null
}

function parseJson(value: Packed): unknown {
  try {
    return JSON.parse(Buffer.from(unpack(value)).toString('utf8'))
  } catch {
    return null
  }
}
