import { isIPv4, isIPv6 } from 'node:net'
import { assert } from '../base/errors.ts'

/**
 * An IP address in its canonical text: dotted quad, or RFC 5952 for IPv6. Two equal addresses are
 * the same string, so addresses can be compared with === and be keys of maps.
 */
export type Ip = string & { readonly ip: unique symbol }

/** Address family, by its number of bits: 32 for IPv4, 128 for IPv6. */
export type IpBits = 32 | 128

/**
 * Reads an address. Strict: no leading zeros (which some parsers read as octal), no zone, no
 * shorthand such as `10.1`. Returns null for anything else.
 */
export function parseIp(text: string): Ip | null {
  if (isIPv4(text)) return text as Ip
  if (!isIPv6(text) || text.includes('%')) return null
  return ipFromInteger(integerOfIpv6(text), 128)
}

/** The address's family as a number of bits. */
export function ipBits(ip: Ip): IpBits {
  return ip.includes(':') ? 128 : 32
}

/** The address as an unsigned integer of `ipBits(ip)` bits. */
export function ipToInteger(ip: Ip): bigint {
  if (ipBits(ip) === 128) return integerOfIpv6(ip)
  return ip.split('.').reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)
}

/** The address with that integer. Throws when it does not fit into `bits`. */
export function ipFromInteger(value: bigint, bits: IpBits): Ip {
  assert(value >= 0n && value < 1n << BigInt(bits), `${value} is no ${bits}-bit address`)
  return bits === 32 ? ipv4Text(Number(value)) : ipv6Text(value)
}

/** The address in network byte order: 4 or 16 bytes. */
export function ipToBytes(ip: Ip): Uint8Array {
  const bits = ipBits(ip)
  if (bits === 32) return ipv4Bytes(ip)
  const value = integerOfIpv6(ip)
  return Uint8Array.from({ length: 16 }, (_, i) => Number((value >> BigInt((15 - i) * 8)) & 0xffn))
}

/** The address in those 4 or 16 bytes of network byte order; null for any other length. */
export function ipFromBytes(bytes: Uint8Array): Ip | null {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}` as Ip
  if (bytes.length !== 16) return null
  return ipFromInteger(
    bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n),
    128,
  )
}

function ipv4Bytes(ip: Ip): Uint8Array {
  const bytes = new Uint8Array(4)
  let part = 0
  for (let i = 0; i < ip.length; i++) {
    const digit = ip.charCodeAt(i) - 0x30
    // Only a dot lies below the digits.
    if (digit < 0) part++
    else bytes[part] = bytes[part]! * 10 + digit
  }
  return bytes
}

function ipv4Text(value: number): Ip {
  return [value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff].join('.') as Ip
}

function integerOfIpv6(text: string): bigint {
  const [head = '', tail] = text.split('::')
  const left = groupsOf(head)
  const right = tail === undefined ? [] : groupsOf(tail)
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length
  const groups = [...left, ...Array<number>(zeros).fill(0), ...right]
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n)
}

/** The 16-bit groups of one side of `::`; a dotted quad at the end counts as two. */
function groupsOf(side: string): number[] {
  if (side === '') return []
  return side.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number)
    return [(a << 8) | b, (c << 8) | d]
  })
}

/**
 * RFC 5952: lower case, no leading zeros, the first longest run of at least two zero groups as
 * `::`.
 */
function ipv6Text(value: bigint): Ip {
  const groups = Array.from({ length: 8 }, (_, i) =>
    Number((value >> BigInt((7 - i) * 16)) & 0xffffn),
  )
  const run = longestZeroRun(groups)
  const hex = (part: number[]): string => part.map((group) => group.toString(16)).join(':')
  if (run.length < 2) return hex(groups) as Ip
  return `${hex(groups.slice(0, run.start))}::${hex(groups.slice(run.start + run.length))}` as Ip
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < groups.length; start++) {
    let length = 0
    while (groups[start + length] === 0) length++
    if (length > best.length) best = { start, length }
  }
  return best
}
