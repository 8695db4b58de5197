/**
 * The record of an endpoint. A cluster has many of them, so they have a compact form of their own
 * instead of JSON. In a log the key is `vni 3 | endpoint id 8` and its value `form 1 | claimed at 4
 * | [family mask 1] | addresses | MAC`, where the form says how many addresses there are, of which
 * family, and how the MAC is written:
 *
 *     bits 0-1  number of addresses, less one
 *     bits 2-3  families: 0 all IPv4, 1 all IPv6, 2 first IPv4 and then IPv6, 3 see the mask
 *     bits 4-5  MAC: 0 the one derived from the first address, 1 `02:42` and 4 bytes, 2 all 6 bytes
 *     bit 6     the overlay is encrypted; such a record is not packed tighter in a delta
 */
import { refusal } from '../../base/errors.ts'
import type { EndpointClaim } from '../../net/endpoint.ts'
import { type Ip, ipBits, ipFromBytes, ipToBytes } from '../../net/ip.ts'
import { type Mac, macFromBytes, macOfIp, macToBytes } from '../../net/mac.ts'
import { type Vni, vniLast } from '../../net/vni.ts'
import { ByteReader, ByteWriter, type Packed } from '../../base/bytes.ts'
import { RecordFault, type Fields, type RecordType } from './record-type.ts'

/**
 * An endpoint of this member. Its id is 16 hexadecimal digits, lower case; it has one to four
 * addresses. Of two claims of one address the later counts.
 */
export interface EndpointRecord extends EndpointClaim {
  readonly kind: 'endpoint'
}

/** The kind's number on the wire. */
export const endpointKind = 1
/** `vni 3 | endpoint id 8` */
export const endpointKeyBytes = 11
/** What two bits can count. */
const maxIps = 4
/** The largest time that fits, in the year 2106. */
export const maxClaimedAt = 0xffff_ffff

const familiesMixed = 3
const encryptedBit = 0x40
const dockerMacPrefix = '02:42:'
const macBytesOfForm = [0, 4, 6] as const

export const endpointRecord: RecordType<EndpointRecord> = {
  kind: 'endpoint',
  number: endpointKind,
  keyOf: endpointKey,
  packKey: packEndpointKey,
  encode: encodeEndpoint,
  decode: (key, value) => decodeEndpoint(key, value) ?? new RecordFault('cannot be read'),
  is: (record): record is EndpointRecord => record?.kind === 'endpoint',
}

/** `vni/endpoint id` */
function endpointKey(record: Fields<EndpointRecord>): string {
  return `${record.vni}/${record.endpointId}`
}

/** The key in bytes; null when the text is none. */
function packEndpointKey(key: string): Packed | null {
  const [, vni, id] = /^([1-9]\d{0,7})\/([0-9a-f]{16})$/.exec(key) ?? []
  if (vni === undefined || id === undefined || Number(vni) > vniLast) return null
  return new ByteWriter().uint(Number(vni), 3).raw(Buffer.from(id, 'hex')).text()
}

/** The value in bytes. Throws BAD_REQUEST when a field is out of its range. */
function encodeEndpoint(record: Fields<EndpointRecord>): Packed {
  const { ips, mac, claimedAt, encrypted } = record
  const first = ips[0]
  if (first === undefined || ips.length > maxIps) {
    throw refusal('BAD_REQUEST', `endpoint ${endpointKey(record)} has ${ips.length} addresses`)
  }
  if (!Number.isInteger(claimedAt) || claimedAt < 0 || claimedAt > maxClaimedAt) {
    throw refusal('BAD_REQUEST', `endpoint ${endpointKey(record)} is claimed at ${claimedAt}`)
  }
  const families = familiesOf(ips)
  const macForm = macFormOf(mac, first)
  const out = new ByteWriter()
    .uint(ips.length - 1 + families * 4 + macForm * 16 + (encrypted === true ? encryptedBit : 0), 1)
    .uint(claimedAt, 4)
  if (families === familiesMixed) out.uint(maskOf(ips), 1)
  for (const ip of ips) out.raw(ipToBytes(ip))
  return out.raw(macToBytes(mac).subarray(6 - macBytesOfForm[macForm])).text()
}

/** The record, or null when the bytes are not of this form. */
function decodeEndpoint(key: Packed, value: Packed): EndpointRecord | null {
  const head = value.charCodeAt(0)
  const plain = String.fromCharCode(head & ~encryptedBit) + value.slice(1)
  if (key.length !== endpointKeyBytes || !isEndpointValue(plain)) return null
  const keyReader = new ByteReader(Buffer.from(key, 'latin1'))
  const vni = keyReader.uint(3) as Vni
  if (vni === 0) return null
  const endpointId = Buffer.from(keyReader.packed(8), 'latin1').toString('hex')
  const reader = new ByteReader(Buffer.from(plain, 'latin1'))
  const form = reader.uint(1)
  const claimedAt = reader.uint(4)
  const mask = maskOfForm(form, () => reader.uint(1))
  const ips: Ip[] = []
  for (let i = 0; i <= (form & 3); i++) {
    const bytes = Buffer.from(reader.packed((mask >> i) & 1 ? 16 : 4), 'latin1')
    ips.push(ipFromBytes(bytes)!)
  }
  const macBytes = Buffer.from(reader.packed(reader.left), 'latin1')
  const mac = macOf(macBytes, ips[0]!)
  const record = { kind: 'endpoint', vni, endpointId, ips, mac, claimedAt } as const
  return (head & encryptedBit) === 0 ? record : { ...record, encrypted: true }
}

/** How many bytes follow form and time; `mask` is read only for families in mixed order. */
export function endpointTailBytes(form: number, mask: () => number): number {
  const families = maskOfForm(form, mask)
  let bytes = ((form >> 2) & 3) === familiesMixed ? 1 : 0
  for (let i = 0; i <= (form & 3); i++) bytes += (families >> i) & 1 ? 16 : 4
  return bytes + (macBytesOfForm[(form >> 4) & 3] ?? 0)
}

/** Whether the value is of the form above, so that it may be packed tighter. */
export function isEndpointValue(value: Packed): boolean {
  const form = value.charCodeAt(0)
  if (value.length < 6 || form >= 0x30) return false
  return value.length === 5 + endpointTailBytes(form, () => value.charCodeAt(5))
}

/** Which addresses are IPv6, lowest bit first. */
function maskOfForm(form: number, mask: () => number): number {
  const families = (form >> 2) & 3
  if (families === familiesMixed) return mask()
  return [0b0000, 0b1111, 0b1110][families]!
}

function maskOf(ips: readonly Ip[]): number {
  return ips.reduce((mask, ip, i) => mask | (ipBits(ip) === 128 ? 1 << i : 0), 0)
}

function familiesOf(ips: readonly Ip[]): number {
  const mask = maskOf(ips)
  const all = (1 << ips.length) - 1
  if (mask === 0) return 0
  if (mask === all) return 1
  return mask === all - 1 ? 2 : familiesMixed
}

function macFormOf(mac: Mac, first: Ip): 0 | 1 | 2 {
  if (mac === macOfIp(first)) return 0
  return mac.startsWith(dockerMacPrefix) ? 1 : 2
}

function macOf(bytes: Uint8Array, first: Ip): Mac {
  if (bytes.length === 0) return macOfIp(first)
  return macFromBytes(bytes.length === 4 ? Uint8Array.of(0x02, 0x42, ...bytes) : bytes)
}
