/**
 * The records that a member publishes, by kind. cluster/wire/record-type.ts says how to add one.
 * Numbers are on the wire: 1 is the endpoint's, and none is ever used again for another kind.
 */
import * as v from 'valibot'
import { endpointRecord } from '../cluster/wire/endpoint-record.ts'
import { type RecordOf, defineRecord, fieldKey } from '../cluster/wire/record-type.ts'
import { type Cidr, parseCidr } from '../net/cidr.ts'
import { type Ip, parseIp } from '../net/ip.ts'
import { namesFields } from '../names/record.ts'
import { isOverlayMtu } from '../net/mtu.ts'
import { claimFields, isNetworkName } from '../networks/claim.ts'
import { type Vni, vniLast } from '../net/vni.ts'

const natural = v.pipe(v.number(), v.integer(), v.minValue(0))
const parsed = <T>(parse: (text: string) => T | null) =>
  v.pipe(v.string(), v.transform(parse), v.nonNullable(v.any() as v.GenericSchema<T | null, T>))
const list = <T>(item: v.GenericSchema<unknown, T>) => v.pipe(v.array(item), v.readonly())
const vniField = v.pipe(
  natural,
  v.minValue(1),
  v.maxValue(vniLast),
  v.transform((n) => n as Vni),
)

const udpPort = v.pipe(natural, v.minValue(1), v.maxValue(65_535))

/** An overlay that this member takes part in. */
export const overlayRecord = defineRecord({
  kind: 'overlay',
  number: 2,
  key: fieldKey('overlayId'),
  schema: v.object({
    vni: vniField,
    pools: list(parsed<Cidr>(parseCidr)),
    /** Bytes, inside the tunnel. Others take the least that any member has. */
    mtu: v.number(),
    /** Keys of our own pools; earlier releases do not say. */
    poolKeys: v.optional(v.pipe(list(v.pipe(v.string(), v.maxLength(128))), v.maxLength(16))),
    /** Those of `pools` that the overlay got after it was created. */
    added: v.optional(v.pipe(list(parsed<Cidr>(parseCidr)), v.maxLength(16))),
    /** What the member's engine hands out of them, where that is by the engines' own IPAM. */
    ranges: v.optional(v.pipe(list(parsed<Cidr>(parseCidr)), v.maxLength(32))),
    /** The member's UDP port for VXLAN; earlier releases do not say. */
    port: v.optional(udpPort),
    /** Whether its tunnels run inside WireGuard. */
    encrypted: v.boolean(),
    /** Whether multicast and broadcasts leave the host. */
    multicast: v.optional(v.boolean()),
  }),
  validate: ({ mtu }) => (isOverlayMtu(mtu) ? null : `has an MTU of ${mtu}`),
})

/** A pool that this member serves addresses of. */
export const poolRecord = defineRecord({
  kind: 'pool',
  number: 3,
  key: fieldKey('poolKey'),
  schema: v.object({
    gateway: v.nullable(parsed<Ip>(parseIp)),
    reserved: list(parsed<Ip>(parseIp)),
    /** Chosen by us, not asked for. */
    auto: v.boolean(),
    /** Milliseconds since 1970. */
    since: natural,
  }),
})
export type PoolRecord = RecordOf<typeof poolRecord>

/** A block of a pool that this member owns. */
export const blockRecord = defineRecord({
  kind: 'block',
  number: 4,
  key: {
    write: ({ index, poolKey }: { readonly poolKey: string; readonly index: number }) =>
      `${index} ${poolKey}`,
    read: (text) => {
      const [, index, poolKey] = /^(\d{1,9}) (.*)$/s.exec(text) ?? []
      return index === undefined || poolKey === undefined ? null : { poolKey, index: Number(index) }
    },
  },
  schema: v.object({
    /** Milliseconds since 1970. */
    since: natural,
  }),
})
export type BlockRecord = RecordOf<typeof blockRecord>

/** What an endpoint of this member is called. The key is that of the endpoint's own record. */
export const namesRecord = defineRecord({
  kind: 'names',
  number: 5,
  key: {
    write: ({ vni, endpointId }: { readonly vni: Vni; readonly endpointId: string }) =>
      `${vni}/${endpointId}`,
    read: (text) => {
      const [, vni, endpointId] = /^([1-9]\d{0,7})\/([0-9a-f]{16})$/.exec(text) ?? []
      if (vni === undefined || endpointId === undefined || Number(vni) > vniLast) return null
      return { vni: Number(vni) as Vni, endpointId }
    },
  },
  schema: namesFields,
})

/** A network that is to be on every host, or was removed from all. */
export const networkRecord = defineRecord({
  kind: 'network',
  number: 6,
  key: fieldKey('name'),
  schema: claimFields,
  validate: ({ name }) => (isNetworkName(name) ? null : 'has no name that a network can have'),
})

/** A prefix that this host uses outside of the cluster: a route, or another network's subnet. */
export const prefixRecord = defineRecord({
  kind: 'prefix',
  number: 9,
  key: fieldKey('prefix'),
  schema: v.object({}),
  validate: ({ prefix }) => (parseCidr(prefix) === null ? 'is no prefix' : null),
})

const wireGuardKey = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/

/** This member's WireGuard device, while it has encrypted overlays. */
export const wireguardRecord = defineRecord({
  kind: 'wireguard',
  number: 8,
  /** 32 bytes in base64. */
  key: fieldKey('publicKey'),
  schema: v.object({
    port: udpPort,
    /** Its key on the spare device, while it replaces its own. */
    spareKey: v.optional(v.pipe(v.string(), v.regex(wireGuardKey))),
  }),
  validate: ({ publicKey }) => (wireGuardKey.test(publicKey) ? null : 'has no key of 32 bytes'),
})

/** All kinds that this release knows. */
export const recordTypes = [
  endpointRecord,
  overlayRecord,
  poolRecord,
  blockRecord,
  namesRecord,
  networkRecord,
  wireguardRecord,
  prefixRecord,
]
