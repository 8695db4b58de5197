import { createHash } from 'node:crypto'
import { assert } from '../base/errors.ts'
import { type Ip, ipBits, ipToBytes } from './ip.ts'

/** A 48-bit hardware address in canonical text: lower case, colons. */
export type Mac = string & { readonly mac: unique symbol }

/**
 * Reads `02:42:0a:00:00:01`, in either case, with colons or dashes. Returns null for anything else.
 */
export function parseMac(text: string): Mac | null {
  const match = /^([0-9a-fA-F]{2})([:-][0-9a-fA-F]{2}){5}$/.exec(text)
  return match === null ? null : (text.toLowerCase().replaceAll('-', ':') as Mac)
}

/** The six bytes. */
export function macToBytes(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(6)
  for (let i = 0; i < 6; i++) bytes[i] = Number.parseInt(mac.slice(3 * i, 3 * i + 2), 16)
  return bytes
}

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** The address in those six bytes. */
export function macFromBytes(bytes: Uint8Array): Mac {
  assert(bytes.length === 6, `a MAC address has 6 bytes, not ${bytes.length}`)
  let text = hexOfByte[bytes[0]!]!
  for (let i = 1; i < 6; i++) text += `:${hexOfByte[bytes[i]!]!}`
  return text as Mac
}

/** Whether it is a group address (the lowest bit of the first byte), which no link can have. */
export function isMulticastMac(mac: Mac): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1
}

/** All zeros: the kernel's notation for no address. */
export const noMac = '00:00:00:00:00:00'

/** Whether a link can have this address: neither a group's nor all zeros. */
export function isUnicastMac(mac: Mac): boolean {
  return !isMulticastMac(mac) && mac !== noMac
}

/**
 * The MAC address that an endpoint with this address gets when none was asked for: `02:42` and the
 * four bytes of an IPv4 address, which is also what Docker's own overlay gives; for IPv6 `02:43`
 * and four bytes of a hash. Locally administered, unicast, and the same on every host. When it is
 * taken, a higher `attempt` gives others.
 */
export function macOfIp(ip: Ip, attempt = 0): Mac {
  const bytes = ipToBytes(ip)
  if (ipBits(ip) === 32 && attempt === 0) return macFromBytes(Uint8Array.of(0x02, 0x42, ...bytes))
  const seed = attempt === 0 ? bytes : Uint8Array.of(...bytes, attempt)
  const hash = createHash('sha256').update(seed).digest()
  return macFromBytes(Uint8Array.of(0x02, 0x43, ...hash.subarray(0, 4)))
}
