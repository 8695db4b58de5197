import { isIPv4, isIPv6 } from 'node:net'
import { MemberlistError } from './errors.ts'

/** Where a member listens, for UDP and TCP alike. */
export interface SocketAddress {
  /** IPv4 in dotted form, or IPv6 in its canonical text form. */
  readonly address: string
  /** For UDP and TCP alike. */
  readonly port: number
  /**
   * Who is there, by a transport that proves it: what comes has the sender's name then, and what
   * is for a member has the name of the one that may get it.
   */
  readonly name?: string
}

/** A seed as a user writes it: host or address, optional port, optional expected member name. */
export interface Seed {
  readonly host: string
  readonly port: number
}

/** `192.0.2.1:7946`, `[2001:db8::1]:7946`. */
export function formatAddress({ address, port }: SocketAddress): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/**
 * Parses `host`, `host:port`, `[v6]`, `[v6]:port`, a bare IPv6 address, each optionally preceded by
 * `name/` as Go's memberlist allows. Throws `invalid-address`.
 */
export function parseSeed(text: string, defaultPort: number): Seed {
  const place = text.slice(text.lastIndexOf('/') + 1)
  if (isIPv6(place)) return { host: place, port: defaultPort }
  const match = /^(?:\[([^\]]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/.exec(place)
  const host = match?.[1] ?? match?.[2]
  const port = match?.[3] === undefined ? defaultPort : Number(match[3])
  const bracketed = match?.[1] !== undefined
  if (host === undefined || port < 1 || port > 65535 || (bracketed && !isIPv6(host))) {
    throw new MemberlistError(
      'invalid-address',
      `"${text}" is not an address: write host, host:port or [ipv6]:port`,
    )
  }
  return { host, port }
}

/**
 * The 4 or 16 bytes that go on the wire, not to be changed. Throws `invalid-address` for anything
 * that is not an IP address.
 */
export function addressToBytes(address: string): Uint8Array {
  const known = bytesOf.get(address)
  if (known !== undefined) return known
  const bytes = parseAddress(address)
  if (bytesOf.size >= MAX_CACHED_ADDRESSES) bytesOf.clear()
  bytesOf.set(address, bytes)
  return bytes
}

/**
 * Addresses are written far more often than there are different ones; a large cluster has some
 * thousands.
 */
const MAX_CACHED_ADDRESSES = 8192
const bytesOf = new Map<string, Uint8Array>()

function parseAddress(address: string): Uint8Array {
  if (isIPv4(address)) return Uint8Array.from(address.split('.'), Number)
  if (isIPv6(address)) return ipv6ToBytes(address)
  throw new MemberlistError('invalid-address', `"${address}" is not an IP address`)
}

/**
 * The text of 4 or 16 bytes, `undefined` for any other length. An IPv4-mapped 16-byte form keeps
 * its `::ffff:` prefix: peers compare addresses as bytes, so both forms must survive being passed
 * on.
 */
export function bytesToAddress(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`
  return bytes.length === 16 ? bytesToIpv6(bytes) : undefined
}

/** Strips the `::ffff:` of an IPv4-mapped address, for dialling. */
export function unmapped(address: string): string {
  return address.startsWith('::ffff:') && isIPv4(address.slice(7)) ? address.slice(7) : address
}

export function sameAddress(a: SocketAddress, b: SocketAddress): boolean {
  return a.port === b.port && a.address === b.address
}

function ipv6ToBytes(address: string): Uint8Array {
  const bytes = new Uint8Array(16)
  const plain = address.split('%', 1)[0]!
  const [head = '', tail] = plain.split('::')
  const left = groups(head)
  const right = tail === undefined ? [] : groups(tail)
  left.forEach((value, i) => putGroup(bytes, i, value))
  right.forEach((value, i) => putGroup(bytes, 8 - right.length + i, value))
  return bytes
}

function groups(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((part) => {
    if (!part.includes('.')) return [parseInt(part, 16)]
    const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number)
    return [(a << 8) | b, (c << 8) | d]
  })
}

function putGroup(bytes: Uint8Array, index: number, value: number): void {
  bytes[2 * index] = value >> 8
  bytes[2 * index + 1] = value & 0xff
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups shortened. */
function bytesToIpv6(bytes: Uint8Array): string {
  const values = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!)
  if (values.slice(0, 5).every((v) => v === 0) && values[5] === 0xffff) {
    return `::ffff:${bytes[12]}.${bytes[13]}.${bytes[14]}.${bytes[15]}`
  }
  const run = longestZeroRun(values)
  const text = (part: number[]) => part.map((v) => v.toString(16)).join(':')
  if (run.length < 2) return text(values)
  return `${text(values.slice(0, run.start))}::${text(values.slice(run.start + run.length))}`
}

function longestZeroRun(values: number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let i = 0; i < values.length; i++) {
    let end = i
    while (end < values.length && values[end] === 0) end++
    if (end - i > best.length) best = { start: i, length: end - i }
    i = Math.max(i, end - 1)
  }
  return best
}
