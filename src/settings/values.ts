import { isAbsolute } from 'node:path'
import { type Cidr, cidrBits, cidrLength, parseCidr } from '../net/cidr.ts'
import { type Ip, parseIp } from '../net/ip.ts'
import { whyNoPool } from '../net/reserved.ts'

/** A setting's value, or what is wrong with its text, as the end of the sentence "NAME=text …". */
export type Parsed<T> = { readonly value: T } | { readonly reason: string }

/** Where another member listens; a null port stands for our own gossip port. */
interface JoinAddress {
  readonly host: string
  readonly port: number | null
}

/** A range that subnets of one length are cut from. */
interface PoolRange {
  readonly cidr: Cidr
  readonly length: number
}

/** For network, broadcast, gateway and one container. */
const minHostBits = 2

/** Milliseconds of the units that a duration may have. */
const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** The items of a list whose separators are commas or white space. */
function itemsOf(text: string): string[] {
  return text.split(/[\s,]+/).filter((item) => item !== '')
}

/** All items read by `parse`, or the reasons of those that could not be. */
function parseItems<T>(text: string, parse: (item: string) => Parsed<T>): Parsed<readonly T[]> {
  const parsed = itemsOf(text).map((item) => ({ item, result: parse(item) }))
  const reasons = parsed.flatMap(({ item, result }) =>
    'reason' in result ? [`has "${item}", which ${result.reason}`] : [],
  )
  if (reasons.length > 0) return { reason: reasons.join(', and ') }
  return { value: parsed.flatMap(({ result }) => ('value' in result ? [result.value] : [])) }
}

/** Decimal digits between `least` and `most`. */
export function parseInteger(text: string, least: number, most: number): Parsed<number> {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (value >= least && value <= most) return { value }
  return { reason: `is not a whole number from ${least} to ${most}` }
}

/** An address of either family. */
export function parseAddress(text: string): Parsed<Ip> {
  const value = parseIp(text)
  return value === null ? { reason: 'is not an IP address' } : { value }
}

/** Reads `72h`: a whole number and a unit, between `minMs` and `maxMs` milliseconds. */
export function parseDuration(text: string, minMs: number, maxMs: number): Parsed<number> {
  const match = /^(\d{1,6})([smhd])$/.exec(text)
  if (match === null) return { reason: 'is not a number with one of the units s, m, h, d' }
  const value = Number(match[1]) * unitMs[match[2]!]!
  if (value > maxMs) return { reason: `is longer than ${maxMs / unitMs['d']!} days` }
  return value >= minMs ? { value } : { reason: `is shorter than ${minMs / 1000} s` }
}

/** Reads `address:port`, `[IPv6]:port`, or a port alone, which is at the loopback address. */
export function parseListenAddress(
  text: string,
): Parsed<{ readonly host: string; readonly port: number }> {
  const [, inBrackets, plain, digits] = /^(?:(?:\[([^\]]+)\]|([^:]*)):)?(\d+)$/.exec(text) ?? []
  const host = parseIp(inBrackets ?? (plain || '127.0.0.1'))
  const port = parseInteger(digits ?? '', 1, 65_535)
  if (host === null || 'reason' in port)
    return { reason: 'is not address:port, [IPv6]:port or port' }
  return { value: { host, port: port.value } }
}

/** Reads `host[:port], …`; an IPv6 address with a port stands in brackets. */
export function parseJoin(text: string): Parsed<readonly JoinAddress[]> {
  return parseItems(text, parseJoinAddress)
}

function parseJoinAddress(text: string): Parsed<JoinAddress> {
  if (parseIp(text) !== null) return { value: { host: text, port: null } }
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(text)
  const inBrackets = match?.[1]
  const host = inBrackets ?? match?.[2] ?? ''
  const isHost =
    inBrackets === undefined ? isHostName(host) : host.includes(':') && parseIp(host) !== null
  if (!isHost) return { reason: 'is not host, host:port or [IPv6]:port' }
  if (match?.[3] === undefined) return { value: { host, port: null } }
  const port = parseInteger(match[3], 1, 65_535)
  return 'value' in port ? { value: { host, port: port.value } } : { reason: 'has no valid port' }
}

/**
 * RFC 1123: labels of letters, digits and inner dashes. All-numeric last labels are bad addresses.
 */
function isHostName(text: string): boolean {
  const labels = text.replace(/\.$/, '').split('.')
  return (
    text.length <= 253 &&
    labels.every((label) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(label)) &&
    (parseIp(text) !== null || !/^\d+$/.test(labels.at(-1)!))
  )
}

/** Reads `10.128.0.0/9:24, …`. */
export function parsePools(text: string): Parsed<readonly PoolRange[]> {
  const parsed = parseItems(text, parsePoolRange)
  if ('value' in parsed && parsed.value.length === 0) return { reason: 'lists nothing' }
  return parsed
}

function parsePoolRange(text: string): Parsed<PoolRange> {
  const match = /^(.+\/\d+):(\d{1,3})$/.exec(text)
  if (match === null) return { reason: 'is not range:length' }
  const cidr = parseCidr(match[1]!)
  if (cidr === null) return { reason: `has no valid range (host bits must be 0)` }
  const reserved = whyNoPool(cidr)
  if (reserved !== null) return { reason: `is no range for containers: ${reserved}` }
  const most = cidrBits(cidr) - minHostBits
  const length = parseInteger(match[2]!, cidrLength(cidr), most)
  if ('value' in length) return { value: { cidr, length: length.value } }
  return { reason: `has a length outside ${cidrLength(cidr)} to ${most}` }
}

export function parsePath(text: string): Parsed<string> {
  return isAbsolute(text) ? { value: text } : { reason: 'is not an absolute path' }
}

export function parseScope(text: string): Parsed<'local' | 'global'> {
  if (text === 'local' || text === 'global') return { value: text }
  return { reason: 'is neither local nor global' }
}

export function parseVoters(text: string): Parsed<number> {
  if (/^[1357]$/.test(text)) return { value: Number(text) }
  return { reason: 'is none of 1, 3, 5 and 7' }
}

export function parseSwitch(text: string): Parsed<boolean> {
  if (text === 'on' || text === 'off') return { value: text === 'on' }
  return { reason: 'is neither on nor off' }
}

/** A name that is safe in a log line, a URL and a DNS label list. */
export function parseName(text: string): Parsed<string> {
  if (/^[a-z0-9]([\w.-]{0,62})$/i.test(text)) return { value: text }
  return { reason: 'is not a name of 1 to 63 letters, digits, dots, dashes and underscores' }
}

export function parseSeconds(text: string): Parsed<number> {
  const seconds = parseInteger(text, 1, 3600)
  return 'value' in seconds ? { value: seconds.value * 1000 } : seconds
}
