import * as v from 'valibot'
import { type Cidr, type IpInCidr, cidrBits, parseIpInCidr } from '../../net/cidr.ts'
import { type IpBits, parseIp } from '../../net/ip.ts'
import { parseMac } from '../../net/mac.ts'

/**
 * The longest identifier taken. The engine's have 64 characters, swarm's 25; the rest is room for
 * what may come, and still fits a file name and a link's alias.
 */
const maxIdCharacters = 128

/** Text that `parse` accepts. `expected` completes the sentence "expected …". */
function parsed<T>(parse: (text: string) => T | null, expected: string) {
  return v.pipe(
    v.string(),
    v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
      const value = parse(dataset.value)
      if (value !== null) return value
      addIssue({ message: expected })
      return NEVER
    }),
  )
}

/** The same, where the engine writes "nothing" as an empty text, as null, or not at all. */
function parsedOrNull<T>(parse: (text: string) => T | null, expected: string) {
  return v.pipe(
    v.nullish(v.string(), ''),
    v.rawTransform<string, T | null>(({ dataset, addIssue, NEVER }) => {
      if (dataset.value === '') return null
      const value = parse(dataset.value)
      if (value !== null) return value
      addIssue({ message: expected })
      return NEVER
    }),
  )
}

function inCidrOfFamily(bits: IpBits): (text: string) => IpInCidr | null {
  return (text) => {
    const value = parseIpInCidr(text)
    return value !== null && cidrBits(value.cidr) === bits ? value : null
  }
}

/** The prefix around the address: engines before 25 pass on host bits that a user gave. */
function maskedCidr(text: string): Cidr | null {
  return parseIpInCidr(text)?.cidr ?? null
}

/** An identifier that is safe in a file name, a log line and a link's alias. */
export const id = parsed(
  (text) => (/^[\w.-]+$/.test(text) && text.length <= maxIdCharacters ? text : null),
  `an identifier: 1 to ${maxIdCharacters} letters, digits, dots, dashes or underscores`,
)

/** Text that is not empty. */
export const someText = parsed((text) => (text === '' ? null : text), 'text that is not empty')

const anIp = 'an address such as 10.0.0.7 or fd00::7'
export const ip = parsed(parseIp, anIp)
export const ipOrNull = parsedOrNull(parseIp, anIp)

const anIpInCidr = 'an address with its length, such as 10.0.0.7/24 or fd00::7/64'
export const ipInCidr = parsed(parseIpInCidr, anIpInCidr)
export const ipInCidrOrNull = parsedOrNull(parseIpInCidr, anIpInCidr)
export const ipv4InCidrOrNull = parsedOrNull(
  inCidrOfFamily(32),
  'an IPv4 address with its length, such as 10.0.0.7/24',
)
export const ipv6InCidrOrNull = parsedOrNull(
  inCidrOfFamily(128),
  'an IPv6 address with its length, such as fd00::7/64',
)

const aCidr = 'a prefix such as 10.0.0.0/24 or fd00::/64'
export const cidr = parsed(maskedCidr, aCidr)
export const cidrOrNull = parsedOrNull(maskedCidr, aCidr)

export const macOrNull = parsedOrNull(parseMac, 'a MAC address such as 02:42:0a:00:00:07')

/** Lists are none, though valibot's objects and records take them. */
function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An object with these fields, whatever others it has. */
export function objectOf<E extends v.ObjectEntries>(entries: E) {
  type Input = v.InferInput<v.ObjectSchema<E, undefined>>
  return v.pipe(v.custom<Input>(isObject, 'an object'), v.object(entries))
}

/** Keys that valibot's records leave out without a word, because every object has them anyway. */
const keysLost: readonly string[] = ['__proto__', 'constructor', 'prototype']

/** An object whose keys the user chose; none is written as `{}`, as null, or not at all. */
export function mapOf<S extends v.GenericSchema>(value: S) {
  return v.nullish(
    v.pipe(
      v.custom<Record<string, v.InferInput<S>>>(isObject, 'an object'),
      v.check(
        (map) => !keysLost.some((key) => Object.hasOwn(map, key)),
        `an object without the keys ${keysLost.join(', ')}`,
      ),
      v.record(v.string(), value),
    ),
    {},
  )
}

/** Options that the user gave. */
export const textOptions = mapOf(v.string())

/** Labels of libnetwork's, whose values have types of their own. */
export const labels = mapOf(v.unknown())
