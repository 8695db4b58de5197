import * as v from 'valibot'
import { cidrBits, cidrLength, parseCidr } from '../../net/cidr.ts'
import { parseIp } from '../../net/ip.ts'
import { parsePoolKey } from '../../net/pool-key.ts'

/** The fields that commands are made of, each with a bound. */

const maxNameLength = 63
const maxIdLength = 64

/** Member names. */
export const name = v.pipe(v.string(), v.minLength(1), v.maxLength(maxNameLength))
export const id = v.pipe(v.string(), v.regex(/^[0-9a-f]+$/), v.maxLength(maxIdLength))
/** Overlay ids: pool keys, names or the engine's network ids. */
export const overlayId = v.pipe(v.string(), v.minLength(1), v.maxLength(128))
export const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0))
export const uint32 = v.pipe(count, v.maxValue(0xffff_ffff))
export const poolKey = v.pipe(
  v.string(),
  v.maxLength(128),
  v.check((text) => parsePoolKey(text) !== null),
)
export const cidr = v.pipe(
  v.string(),
  v.maxLength(49),
  v.transform(parseCidr),
  v.check((parsed) => parsed !== null),
  v.transform((parsed) => parsed!),
)

/** An array of at most `max`. */
export function list<S extends v.GenericSchema>(item: S, max: number) {
  return v.pipe(v.array(item), v.maxLength(max))
}

/** Pairs of a block's index or an address's offset, and the grant it was given under. */
export const granted = v.tuple([count, count])

export const ip = v.pipe(
  v.string(),
  v.maxLength(45),
  v.transform(parseIp),
  v.check((parsed) => parsed !== null),
  v.transform((parsed) => parsed!),
)
/** Where automatic pools come from: prefixes of `length` within `cidr`. */
export const source = v.pipe(
  v.object({ cidr, length: v.pipe(count, v.maxValue(128)) }),
  v.check(({ cidr, length }) => length <= cidrBits(cidr) && length >= cidrLength(cidr)),
)
