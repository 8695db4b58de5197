import { Netmask } from 'netmask'
import { assert } from '../base/errors.ts'
import {
  type Ip,
  type IpBits,
  ipBits,
  ipFromInteger,
  ipToBytes,
  ipToInteger,
  parseIp,
} from './ip.ts'

/**
 * A prefix in canonical text, host bits zero: `10.0.0.0/8`, `fd00::/64`. Equal prefixes are the
 * same string.
 */
export type Cidr = string & { readonly cidr: unique symbol }

/** An address together with the length of its prefix, as engines write it: `10.0.0.7/24`. */
export interface IpInCidr {
  readonly ip: Ip
  readonly cidr: Cidr
}

/**
 * Reads `address/length`, host bits allowed. Strict on purpose: the netmask library that does the
 * IPv4 arithmetic below parses `010.0.0.1/24` as 8.0.0.0/24 and ignores trailing letters, so it is
 * given only text that this function has checked. Returns null for anything else.
 */
export function parseIpInCidr(text: string): IpInCidr | null {
  const match = /^([0-9a-fA-F.:]{2,45})\/(0|[1-9]\d{0,2})$/.exec(text)
  const ip = match === null ? null : parseIp(match[1]!)
  if (match === null || ip === null) return null
  const length = Number(match[2])
  return length <= ipBits(ip) ? { ip, cidr: cidrOf(ip, length) } : null
}

/** Reads a prefix; null when the text is none or has host bits set. */
export function parseCidr(text: string): Cidr | null {
  const parsed = parseIpInCidr(text)
  return parsed !== null && parsed.ip === cidrBase(parsed.cidr) ? parsed.cidr : null
}

/** The prefix of that length that contains `ip`. */
export function cidrOf(ip: Ip, length: number): Cidr {
  const bits = ipBits(ip)
  assert(Number.isInteger(length) && length >= 0 && length <= bits, `/${length} of ${ip}`)
  if (bits === 32) return `${new Netmask(`${ip}/${length}`).base}/${length}` as Cidr
  const host = BigInt(bits - length)
  return `${ipFromInteger((ipToInteger(ip) >> host) << host, bits)}/${length}` as Cidr
}

/** The first address of the prefix. */
export function cidrBase(cidr: Cidr): Ip {
  return cidr.slice(0, cidr.indexOf('/')) as Ip
}

/** The number of leading bits that are fixed. */
export function cidrLength(cidr: Cidr): number {
  return Number(cidr.slice(cidr.indexOf('/') + 1))
}

/** The family as a number of bits: 32 or 128. */
export function cidrBits(cidr: Cidr): IpBits {
  return ipBits(cidrBase(cidr))
}

/** How many addresses the prefix has, the network and broadcast addresses included. */
export function cidrSize(cidr: Cidr): bigint {
  return 1n << BigInt(cidrBits(cidr) - cidrLength(cidr))
}

/** The address at `offset` from the first. Throws when it lies outside. */
export function ipAt(cidr: Cidr, offset: bigint): Ip {
  assert(offset >= 0n && offset < cidrSize(cidr), `offset ${offset} of ${cidr}`)
  return ipFromInteger(ipToInteger(cidrBase(cidr)) + offset, cidrBits(cidr))
}

/** How far `ip` is from the first address of the prefix. Throws when it lies outside. */
export function offsetIn(cidr: Cidr, ip: Ip): bigint {
  assert(cidrContains(cidr, ip), `${ip} is not in ${cidr}`)
  return ipToInteger(ip) - ipToInteger(cidrBase(cidr))
}

/** Whether the prefix has this address. Addresses of the other family never are. */
export function cidrContains(cidr: Cidr, ip: Ip): boolean {
  const [base, length] = [cidrBase(cidr), cidrLength(cidr)]
  if (ipBits(base) !== ipBits(ip)) return false
  if (ipBits(ip) === 128) return cidrOf(ip, length) === cidr
  // Without the netmask library, which builds strings: a dump asks this for every address.
  return length === 0 || (ipv4Number(base) ^ ipv4Number(ip)) >>> (32 - length) === 0
}

function ipv4Number(ip: Ip): number {
  return ipToBytes(ip).reduce((sum, byte) => (sum << 8) | byte, 0)
}

/** Whether the two prefixes have an address in common. */
export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return cidrLength(a) <= cidrLength(b)
    ? cidrContains(a, cidrBase(b))
    : cidrContains(b, cidrBase(a))
}

/** Whether `inner` lies wholly inside `outer`. */
export function cidrIncludes(outer: Cidr, inner: Cidr): boolean {
  return cidrLength(outer) <= cidrLength(inner) && cidrContains(outer, cidrBase(inner))
}

/** `ip` written with the prefix length of `cidr`, as the engine wants addresses. */
export function ipWithLength(ip: Ip, cidr: Cidr): string {
  return `${ip}/${cidrLength(cidr)}`
}
